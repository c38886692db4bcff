import { describe, expect, it } from 'vitest'

import { added, answered, moved, newConversation, nextRole, readMessages, renderRequest, type Message, type Role } from './messages'

function conversation(...turns: [Role, string][]): Message[] {
  return turns.map(([role, content], id) => ({ id, role, content }))
}

const said = (messages: readonly Message[]): string[] => messages.map(({ role, content }) => `${role}: ${content}`)

describe('messages', () => {
  it('begin with room for instructions and a question, and take turns', () => {
    const first = newConversation()
    expect(first.map(({ role }) => role)).toEqual(['system', 'user'])
    expect(nextRole(first)).toBe('assistant')
    expect(nextRole(added(first))).toBe('user')
    expect(nextRole([])).toBe('user')
  })

  it('get ids of their own, also after one has gone', () => {
    const [system, user] = newConversation() as [Message, Message]
    expect(added([user, system]).map(({ id }) => id)).toEqual([1, 0, 2])
    expect(added([]).map(({ id }) => id)).toEqual([0])
  })

  it('move with their ids, within the list', () => {
    const three = conversation(['system', 'a'], ['user', 'b'], ['assistant', 'c'])
    expect(moved(three, 2, 0).map(({ id }) => id)).toEqual([2, 0, 1])
    expect(moved(three, 0, 1).map(({ id }) => id)).toEqual([1, 0, 2])
    expect(moved(three, 2, 3)).toEqual(three)
    expect(moved(three, 0, -1)).toEqual(three)
  })
})

describe('renderRequest', () => {
  it('asks for a prompt that opens an answer, without the empty messages', () => {
    expect(renderRequest('m', conversation(['system', ' \n'], ['user', ' Hi '], ['assistant', '']))).toEqual({
      model: 'm', messages: [{ role: 'user', content: ' Hi ' }], add_generation_prompt: true, continue_final_message: false,
    })
  })

  it('leaves an assistant’s last message open', () => {
    expect(renderRequest('m', conversation(['user', 'Hi'], ['assistant', 'Well']))).toMatchObject({ add_generation_prompt: false, continue_final_message: true })
  })
})

describe('answered', () => {
  it('makes what the model has written a message, and leaves room for the next', () => {
    expect(said(answered(conversation(['system', ''], ['user', 'Hi'], ['assistant', '']), ' Hello.\n'))).toEqual(['user: Hi', 'assistant: Hello.', 'user: '])
  })

  it('ends the message that the model went on with', () => {
    expect(said(answered(conversation(['user', 'Hi'], ['assistant', 'Well,']), ' hello.\n'))).toEqual(['user: Hi', 'assistant: Well, hello.', 'user: '])
  })
})

describe('readMessages', () => {
  it('gives back what was stored, and leaves out what is not understood', () => {
    const messages = conversation(['system', 'a'], ['user', ''])
    expect(readMessages(JSON.stringify(messages))).toEqual(messages)
    expect(readMessages(JSON.stringify([{ role: 'tool', content: 'x' }, null, { role: 'user', content: 5 }, { role: 'user', content: 'b', id: 9 }]))).toEqual([{ id: 0, role: 'user', content: 'b' }])
  })

  it.each([null, '', '{', '5', 'null', '{}', '[]', '[1]'])('finds no conversation in %j', (stored) => expect(readMessages(stored)).toBeNull())
})
