"""How models write that a tool is to be called: which form a template teaches its model, and the grammar of that form.

Every form is JSON with the function's name before its arguments, in that order, with one space after each colon and
comma. Templates show it to their models so, or close to it; here it is made exact, so that reading it back is easy.
"""

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


@dataclass(frozen=True, slots=True)
class ToolForm:
    """How one call is written: `opening`, the name, `middle`, the arguments, `closing`.

    `mark` is how the opening begins: after a text, or, where a call `stands_alone`, at the beginning of an answer only.
    There may be several calls then, with `between` in between.
    """

    mark: str
    opening: str
    middle: str
    closing: str
    between: str = ''
    stands_alone: bool = False

    def call(self, name: str, arguments: str) -> str:
        """Returns the grammar of a call without its mark; `arguments` is the name of the arguments' rule."""
        before = f'{self.opening.removeprefix(self.mark)}{name}{self.middle}'
        return f'{json.dumps(before)} {arguments} {json.dumps(self.closing)}'


MARKED = ToolForm('<tool_call>', '<tool_call>\n{"name": "', '", "arguments": ', '}\n</tool_call>', between='\n')
PLAIN = ToolForm('{', '{"name": "', '", "arguments": ', '}', stands_alone=True)
PARAMETERS = ToolForm('{', '{"name": "', '", "parameters": ', '}', stands_alone=True)


def form_of(template: str) -> ToolForm | None:
    """Returns the form that a chat template teaches; None if it tells its model of no tools.

    Marked by <tool_call> as Hermes and Qwen write it, plain with "parameters" as Llama 3 does, or else plain.
    """
    if not re.search(r'\btools\b', template):
        return None
    if MARKED.mark in template:
        return MARKED
    return PARAMETERS if re.search(r'"parameters\\?":', template) else PLAIN


def grammar_of(request: ChatRequest, form: ToolForm) -> Grammar:
    """Returns the grammar of an answer to a request with tools. Raises InvalidRequestError for an impossible one."""
    choice = request.tool_choice
    tools = [tool for tool in request.tools or ()
             if not isinstance(choice, NamedTool) or tool.function.name == choice.function.name]
    rules = [f'call: {" | ".join(f"call_{place}" for place in range(len(tools)))}', *_calls(tools, form)]
    mark, more = json.dumps(form.mark), ''
    if request.parallel_tool_calls and not form.stands_alone:
        more = f' ({json.dumps(form.between + form.mark)} call)*'
    answer = rule_of(request.response_format)
    if choice not in (None, 'auto'):
        rules.append(f'start: {mark} call{more}')
    elif answer is not None:
        if form.stands_alone:
            raise errors.InvalidRequestError(
                "response_format cannot be combined with tools for this model, whose calls are JSON, too: ask for one "
                "of both, or make tool_choice 'required' or 'none'.", param='response_format')
        rules += [f'start: answer | {mark} call{more}', f'answer: {answer}']
    elif form.stands_alone:
        rules += [f'start: TEXT | {mark} call{more}', f'TEXT: {NO_JSON}']
    else:
        rules += [f'start: TEXT | head call{more}', f'TEXT: {ANY_TEXT}', f'head[lazy]: TEXT {mark}']
    return Grammar('\n'.join(rules), 'tools')


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
