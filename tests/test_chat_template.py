"""Chat templates: what transformers makes of them, and that none takes more of the machine than it may."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from sandle import errors
from sandle.chat_template import ChatTemplate
from sandle.engine.engine import Conversation, TokenizerInfo

CHATML = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>'"
          " + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
STRICT = ("{{ bos_token }}{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
          "{{ raise_exception('Roles must alternate.') }}{% endif %}[{{ message.content | trim }}]{% endfor %}")
TOOLS = '{% for tool in tools or [] %}{{ tool.function | tojson }}{% endfor %}{{ messages[0].content }}'
HI = [{'role': 'user', 'content': 'Hi'}]


def template(text: str, with_tools: str | None = None) -> ChatTemplate:
    return ChatTemplate(TokenizerInfo('x', bos_token='<s>', chat_template=text, tool_template=with_tools))


@pytest.fixture(scope='module')
def chatml() -> ChatTemplate:
    return template(CHATML)


@given(st.lists(st.fixed_dictionaries({'role': st.sampled_from(['user', 'assistant']), 'content': st.text()}),
                min_size=1), st.booleans())
@settings(deadline=None)
def test_text_is_what_transformers_makes_of_it(chatml: ChatTemplate, messages: list[dict[str, object]],
                                               opens: bool) -> None:
    (expected,), _ = render_jinja_template([messages], chat_template=CHATML, add_generation_prompt=opens)
    assert chatml.render(Conversation(messages, opens_answer=opens)) == expected


def test_a_message_may_be_gone_on_with(chatml: ChatTemplate) -> None:
    messages = [*HI, {'role': 'assistant', 'content': 'Hello'}]
    assert chatml.render(Conversation(messages, continues_last=True)).endswith('<|im_start|>assistant\nHello')


def test_special_tokens_tools_and_variables_are_known() -> None:
    assert template(STRICT).render(Conversation(HI)) == '<s>[Hi]'
    tool = {'type': 'function', 'function': {'name': 'f', 'parameters': {'default': None}}}
    expected = '{"name": "f", "parameters": {"default": null}}Hi'
    assert template(TOOLS).render(Conversation(HI, [tool])) == expected
    both = template(STRICT, with_tools=TOOLS)
    assert (both.render(Conversation(HI, [tool])), both.render(Conversation(HI))) == (expected, '<s>[Hi]')
    assert template('{{ mood }}').render(Conversation(HI, variables={'mood': 'gay'})) == 'gay'


@pytest.mark.parametrize(('text', 'said'), [
    ("{{ raise_exception('Roles must alternate.') }}", 'Roles must alternate'),
    ('{% if %}', 'not valid at line 1'), ('{{ messages[0].content + 5 }}', 'str'), ('{{ 1 // 0 }}', 'zero'),
    ('{{ messages.__class__.__mro__ }}', 'unsafe'), ('{% include "/etc/passwd" %}', 'no loader'),
    ('{{ messages.append(1) }}', 'unsafe'), ('{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', 'recursion'),
    ('{{ "a" * 10 ** 10 }}', 'memory'), ('{{ "a" * (17 * 1024 * 1024) }}', 'too long')])
def test_what_goes_wrong_in_a_template_is_told(text: str, said: str) -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        template(text).render(Conversation(HI))
    assert caught.value.param == 'messages' and said in caught.value.message


def test_a_template_that_does_not_end_is_ended_and_the_next_conversation_is_rendered() -> None:
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    endless = template("{% if messages[0].content == 'loop' %}" + loop + '{% endif %}{{ messages[0].content }}')
    assert endless.render(Conversation(HI)) == 'Hi'
    with pytest.raises(errors.InvalidRequestError, match='too much time'):
        endless.render(Conversation([{'role': 'user', 'content': 'loop'}]))
    assert endless.render(Conversation(HI)) == 'Hi'
