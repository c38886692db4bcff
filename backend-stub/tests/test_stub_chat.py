"""The stub's template, as it says it and as it renders it."""

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

import stub_chat
from sandle.engine.engine import Conversation

MESSAGES = [{'role': 'system', 'content': 'a\n'}, {'role': 'user', 'content': '{{ b }}'},
            {'role': 'assistant', 'content': 'c'}]


@pytest.mark.parametrize(('opens', 'continues'), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize('count', [1, 3])
def test_template_says_what_is_rendered(count: int, opens: bool, continues: bool) -> None:
    messages = MESSAGES[-count:]
    (expected,), _ = render_jinja_template([messages], chat_template=stub_chat.TEMPLATE, add_generation_prompt=opens,
                                           continue_final_message=continues)
    assert stub_chat.render(Conversation(messages, opens_answer=opens, continues_last=continues)) == expected
