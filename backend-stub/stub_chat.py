"""The stub's chat template: a line a message, its role in front. `TEMPLATE` says the same in Jinja's language."""

import json

from sandle.engine.engine import Conversation

TEMPLATE = """\
{% if tools %}
tools, to be called as <tool_call>: {{ tools | tojson }}
{% endif %}
{% for message in messages %}
{{ message.role }}: {{ message.content }}
{% endfor %}
{% if add_generation_prompt %}assistant:{% endif %}"""


def render(conversation: Conversation) -> str:
    """Returns the prompt that the template makes of a conversation."""
    tools = f'tools, to be called as <tool_call>: {json.dumps(conversation.tools)}\n' if conversation.tools else ''
    text = tools + '\n'.join(f'{message["role"]}: {message["content"]}' for message in conversation.messages)
    if conversation.continues_last:
        return text
    return f'{text}\nassistant:' if conversation.opens_answer else f'{text}\n'
