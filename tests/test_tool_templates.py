"""Chat templates that tell of tools, each in the manner of a family of models: the call that a template shows its model
in a conversation is the one that the form lets it write, and is read back as what was called.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from sandle.chat import prompt_of
from sandle.chat_protocol import ChatRequest
from sandle.chat_template import ChatTemplate
from sandle.engine.engine import Conversation, TokenizerInfo
from sandle.tool_forms import (APRIEL, FUNCTION, GRANITE, MARKED, MISTRAL, MISTRAL_ARGS, MISTRAL_SPACED, NEMOTRON,
                               PARAMETERS, PLAIN, ToolForm, form_of, grammar_of)
from tests.test_tool_calls import TOOLS, fits, read

BEGIN = '{% if tools %}Tools: {{ tools | tojson }}\n{% endif %}'


@dataclass(frozen=True)
class Family:
    """How a family's template writes an assistant's calls, and a tool's answer to the first of them."""

    form: ToolForm
    calls: str
    result: str
    shown: str
    not_written: str = '$.'  # what of a call the form leaves out, if anything: an expression

    @property
    def template(self) -> str:
        """A template that has all of it, with <answer> around what the assistant has said."""
        return (f'{BEGIN}{{% for message in messages %}}{{% if message.tool_calls %}}<answer>{self.calls}</answer>'
                f"{{% elif message.role == 'tool' %}}{self.result}"
                '{% else %}<{{ message.role }}>{{ message.content }}{% endif %}{% endfor %}')


EACH = '{% for call in message.tool_calls %}{% set f = call.function %}'
COMMA = '{% if not loop.last %}, {% endif %}{% endfor %}'
CALL = '{{ f | tojson }}'
NINE = "{% if call.id | length != 9 %}{{ raise_exception('Ids have nine characters.') }}{% endif %}"
WITH_ID = """{{ (f | tojson)[:-1] }}, "id": "{{ call.id }}"}"""
ID = r', "id": "\w{9}"'
FAMILIES = {
    'Hermes, Qwen': Family(
        MARKED, EACH + "{{ '\\n' if not loop.first }}<tool_call>\n" + CALL + '\n</tool_call>{% endfor %}',
        '<tool_response>\n{{ message.content }}\n</tool_response>', '<tool_response>\nRain.\n</tool_response>'),
    'Mistral 7B v0.3': Family(
        MISTRAL_SPACED, '{{ "[TOOL_CALLS] [" }}' + EACH + NINE + WITH_ID + COMMA + ']',
        '[TOOL_RESULTS] {"content": {{ message.content }}, "call_id": "{{ message.tool_call_id }}"}[/TOOL_RESULTS]',
        '[TOOL_RESULTS] {"content": Rain., "call_id": "ID"}[/TOOL_RESULTS]', ID),
    'Mistral Nemo': Family(
        MISTRAL, '{{ "[TOOL_CALLS][" }}' + EACH + NINE + WITH_ID + COMMA + ']',
        '[TOOL_RESULTS]{"content": {{ message.content }}, "call_id": "{{ message.tool_call_id }}"}[/TOOL_RESULTS]',
        '[TOOL_RESULTS]{"content": Rain., "call_id": "ID"}[/TOOL_RESULTS]', ID),
    'Devstral, Ministral 3': Family(
        MISTRAL_ARGS, EACH + '{{ "[TOOL_CALLS]" + f.name + "[ARGS]" + f.arguments | tojson }}{% endfor %}',
        '[TOOL_RESULTS]{{ message.content }}[/TOOL_RESULTS]', '[TOOL_RESULTS]Rain.[/TOOL_RESULTS]'),
    'Granite 3': Family(
        GRANITE, '<|tool_call|>[' + EACH + CALL + COMMA + ']',
        '<|start_of_role|>tool<|end_of_role|>{{ message.content }}', '<|start_of_role|>tool<|end_of_role|>Rain.'),
    'Nemotron Nano 2': Family(
        NEMOTRON, '<TOOLCALL>[' + EACH + CALL + COMMA + ']</TOOLCALL>',
        '<TOOL_RESPONSE>[{{ message.content }}]</TOOL_RESPONSE>', '<TOOL_RESPONSE>[Rain.]</TOOL_RESPONSE>'),
    'Apriel': Family(
        APRIEL, '<tool_calls>[' + EACH + CALL + COMMA + ']</tool_calls>',
        '<tool_result>{{ message.content }}</tool_result>', '<tool_result>Rain.</tool_result>'),
    'Functionary 3.1': Family(
        FUNCTION, EACH + "{{ '<function=' + f.name + '>' + f.arguments | tojson + '</function>' }}{% endfor %}",
        '<|eom_id|>ipython {{ message.content }}', '<|eom_id|>ipython Rain.'),
    'Llama 3': Family(
        PARAMETERS, "{% if message.tool_calls | length != 1 %}{{ raise_exception('One call at once!') }}{% endif %}"
        '{% set f = message.tool_calls[0].function %}'
        """{{ '{"name": "' + f.name + '", ' }}{{ '"parameters": ' }}{{ f.arguments | tojson }}{{ '}' }}""",
        '<|start_header_id|>ipython<|end_header_id|>{{ message.content | tojson }}',
        '<|start_header_id|>ipython<|end_header_id|>"Rain."'),
    'any other': Family(PLAIN, EACH + CALL + '{% endfor %}', 'Result: {{ message.content }}', 'Result: Rain.'),
}


class Templated:
    """A tokenizer of which nothing but the template is asked."""

    def __init__(self, template: str) -> None:
        self.info = TokenizerInfo('x', chat_template=template)
        self._chat = ChatTemplate(self.info)

    def render(self, conversation: Conversation) -> str:
        """See TextTokenizer.render."""
        return self._chat.render(conversation)


def conversation(count: int, **fields: Any) -> ChatRequest:
    """A request after so many calls, the first of which has been answered; with ids as Sandle makes them."""
    calls = [{'id': f'call_{place:024x}', 'type': 'function', 'function': {'name': name, 'arguments': arguments}}
             for place, (name, arguments) in enumerate(CALLS[:count])]
    return ChatRequest.model_validate({'model': 'm', 'tools': TOOLS, 'messages': [
        {'role': 'user', 'content': 'Weather?'}, {'role': 'assistant', 'content': None, 'tool_calls': calls},
        {'role': 'tool', 'tool_call_id': calls[0]['id'], 'content': 'Rain.'}], **fields})


CALLS = [('weather', '{"city": "Oslo [ARGS] }"}'), ('now', '{}'), ('weather', '{"city": "\\"é\\" <"}')]


@pytest.mark.parametrize('name', FAMILIES)
def test_a_shown_call_is_one_that_may_be_written_and_is_read_back(name: str) -> None:
    family = FAMILIES[name]
    form = form_of(family.template)
    assert form is family.form
    count = 1 if form.stands_alone else len(CALLS)
    request = conversation(count, tool_choice='required')
    prompt = prompt_of(request, Templated(family.template))  # type: ignore[arg-type]  # nothing else is asked of it
    shown = re.sub(family.not_written, '', prompt.partition('<answer>')[2].partition('</answer>')[0])
    assert fits(grammar_of(request, form), shown), shown
    text, calls, reader = read(form, list(shown))
    assert (text, reader.has_called) == ('', True)
    assert [(name, json.loads(arguments)) for name, arguments in calls] == [
        (name, json.loads(arguments)) for name, arguments in CALLS[:count]]


@pytest.mark.parametrize('name', FAMILIES)
def test_a_tools_answer_is_where_the_template_puts_it(name: str) -> None:
    family = FAMILIES[name]
    prompt = prompt_of(conversation(1), Templated(family.template))  # type: ignore[arg-type]  # as above
    before, _, after = family.shown.partition('ID')
    assert before in prompt and prompt.endswith(after) and '"weather"' in prompt.partition('<answer>')[0]


def test_mistrals_ids_are_the_same_in_a_call_and_in_its_answer() -> None:
    template = (BEGIN + '{% for message in messages %}{% if message.tool_calls %}' + EACH + NINE
                + '[{{ call.id }}]{% endfor %}'
                "{% elif message.role == 'tool' %}[{{ message.tool_call_id }}]{% endif %}{% endfor %}")
    prompt = prompt_of(conversation(2), Templated(template))  # type: ignore[arg-type]  # as above
    first, second, answered = re.findall(r'\[(\w+)\]', prompt)
    assert first == answered != second and len(second) == 9
    free = prompt_of(conversation(2), Templated(template.replace(NINE, '')))  # type: ignore[arg-type]  # as above
    assert f'[call_{0:024x}]' in free and f'[call_{1:024x}]' in free


@pytest.mark.parametrize(('template', 'form'), [
    ('{% if tools %}<tool_call>\n<function=f>\n<parameter=a>', MARKED), ('{{ tools }}<function=f><parameter=a>', PLAIN),
    ('{%- if tools is not none %}{"name": x, \\"parameters\\": y}', PARAMETERS), ('{{ tools }}', PLAIN)])
def test_templates_that_only_look_alike(template: str, form: ToolForm) -> None:
    assert form_of(template) is form


@pytest.mark.parametrize(('info', 'template'), [
    (TokenizerInfo('x', chat_template='{{ messages }}'), None), (TokenizerInfo('x'), None),
    (TokenizerInfo('x', chat_template='{{ my_tools }}'), None),
    (TokenizerInfo('x', chat_template='{{ tools }}'), '{{ tools }}'),
    (TokenizerInfo('x', chat_template='{{ messages }}', tool_template='{% if tools %}'), '{% if tools %}')])
def test_a_model_is_told_of_tools_by_the_template_that_is_for_them(info: TokenizerInfo, template: str | None) -> None:
    assert info.template_with_tools == template
