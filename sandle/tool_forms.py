"""How models write that a tool is to be called: which form a template teaches its model, and the grammar of that form.

In every form the function's name comes first and its arguments, a JSON object, after it; where more of it is JSON,
there is one space after each colon and comma. Templates show it to their models so, or close to it; here it is made
exact, so that reading it back is easy.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sandle import errors
from sandle.chat_protocol import ChatRequest, NamedTool, Tool
from sandle.engine.engine import Grammar
from sandle.response_format import json_rule, rule_of

ANY_TEXT = r'/(.|\n)*/'
NO_JSON = r'/([^{](.|\n)*)?/'
MISTRALS_CHECK = re.compile(r'length\s*!=\s*9\b')  # its templates refuse ids of any other length
MISTRALS_ID = re.compile('[a-zA-Z0-9]{9}')


@dataclass(frozen=True, slots=True)
class ToolForm:
    """How calls are written: `opening`, the name, `middle`, the arguments, `closing`; and after the last one `end`.

    `mark` is how the opening begins: after a text, or, where a call `stands_alone`, at the beginning of an answer only.
    `between` stands in place of the opening before every further call; without it there is a single one. `tokens` are
    those pieces that some tokenizers have as special tokens, which otherwise add nothing to a text.
    """

    mark: str
    opening: str
    middle: str
    closing: str
    end: str = ''
    between: str | None = None
    tokens: tuple[str, ...] = ()
    stands_alone: bool = False

    def call(self, name: str, arguments: str) -> str:
        """Returns the grammar of a call after its opening; `arguments` is the name of the arguments' rule."""
        return f'{_literal(name + self.middle)} {arguments} {_literal(self.closing)}'


def _list_form(mark: str, end: str = '', space: str = '') -> ToolForm:
    """Returns the form of a JSON array of calls between two marks."""
    return ToolForm(mark, f'{mark}{space}[{{"name": "', '", "arguments": ', '}', end=f']{end}', between=', {"name": "',
                    tokens=(mark, *([end] if end else ())))


MARKED = ToolForm('<tool_call>', '<tool_call>\n{"name": "', '", "arguments": ', '}\n</tool_call>',
                  between='\n<tool_call>\n{"name": "', tokens=('<tool_call>', '</tool_call>'))
MISTRAL = _list_form('[TOOL_CALLS]')
MISTRAL_SPACED = _list_form('[TOOL_CALLS]', space=' ')
MISTRAL_ARGS = ToolForm('[TOOL_CALLS]', '[TOOL_CALLS]', '[ARGS]', '', between='[TOOL_CALLS]',
                        tokens=('[TOOL_CALLS]', '[ARGS]'))
GRANITE = _list_form('<|tool_call|>')
NEMOTRON = _list_form('<TOOLCALL>', '</TOOLCALL>')
APRIEL = _list_form('<tool_calls>', '</tool_calls>')
FUNCTION = ToolForm('<function=', '<function=', '>', '</function>', between='<function=')
PLAIN = ToolForm('{', '{"name": "', '", "arguments": ', '}', stands_alone=True)
PARAMETERS = ToolForm('{', '{"name": "', '", "parameters": ', '}', stands_alone=True)

# What in a template tells of which form; the first that is there counts.
SIGNS = ((r'\[ARGS\]', MISTRAL_ARGS), (r'\[TOOL_CALLS\] \[', MISTRAL_SPACED), (r'\[TOOL_CALLS\]', MISTRAL),
         (r'<tool_calls>\[', APRIEL), (r'<tool_call>', MARKED), (r'<TOOLCALL>\[', NEMOTRON),
         (r'<\|tool_call\|>', GRANITE), (r'<function=(?!.*<parameter=)', FUNCTION), (r'"parameters\\?":', PARAMETERS))


def form_of(template: str) -> ToolForm:
    """Returns the form that a chat template with tools teaches, the plain one if it is none of those known."""
    return next((form for sign, form in SIGNS if re.search(sign, template, re.DOTALL)), PLAIN)


def template_id(template: str, call_id: str) -> str:
    """Returns a call's id as a template takes it: Mistral's want nine letters and digits, of whoever made the call."""
    if MISTRALS_CHECK.search(template) is None or MISTRALS_ID.fullmatch(call_id):
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:9]


def grammar_of(request: ChatRequest, form: ToolForm) -> Grammar:
    """Returns the grammar of an answer to a request with tools. Raises InvalidRequestError for an impossible one."""
    choice = request.tool_choice
    tools = [tool for tool in request.tools or ()
             if not isinstance(choice, NamedTool) or tool.function.name == choice.function.name]
    rules = [f'call: {" | ".join(f"call_{place}" for place in range(len(tools)))}', *_calls(tools, form)]
    mark, head = _literal(form.mark), _literal(form.opening.removeprefix(form.mark))
    more = '' if form.between is None or not request.parallel_tool_calls else f'({_literal(form.between)} call)*'
    calls = f'{head} call {more} {_literal(form.end)}'
    answer = rule_of(request.response_format)
    if choice not in (None, 'auto'):
        rules.append(f'start: {mark} {calls}')
    elif answer is not None:
        if form.stands_alone:
            raise errors.InvalidRequestError(
                "response_format cannot be combined with tools for this model, whose calls are JSON, too: ask for one "
                "of both, or make tool_choice 'required' or 'none'.", param='response_format')
        rules += [f'start: answer | {mark} {calls}', f'answer: {answer}']
    elif form.stands_alone:
        rules += [f'start: TEXT | {mark} {calls}', f'TEXT: {NO_JSON}']
    else:
        rules += [f'start: TEXT | head {calls}', f'TEXT: {ANY_TEXT}', f'head[lazy]: TEXT {mark}']
    return Grammar('\n'.join(rules), 'tools', form.tokens)


def _literal(text: str) -> str:
    """Returns what a grammar says for a text; nothing for none."""
    return json.dumps(text) if text else ''


def _calls(tools: Sequence[Tool], form: ToolForm) -> list[str]:
    rules = []
    for place, tool in enumerate(tools):
        schema = tool.function.parameters or {'properties': {}, 'additionalProperties': False}
        if schema.get('type', 'object') != 'object':
            raise errors.InvalidRequestError(
                f'The parameters of {tool.function.name!r} must be the JSON schema of an object.', param='tools')
        rules += [f'call_{place}: {form.call(tool.function.name, f"arguments_{place}")}',
                  f'arguments_{place}: {json_rule({**schema, "type": "object"})}']
    return rules
