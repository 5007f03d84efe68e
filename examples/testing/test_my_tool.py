"""Tests of a tool, by itself and in the whole loop: `pytest examples/testing`."""


def test_my_tool(scripted_model, messages_client):
    scripted_model.calls("word_count", {"text": "two words"})
    assert "2" in messages_client.ask("go").text


def test_my_tool_alone(auxot_worker):
    assert auxot_worker.call("word_count", {"text": "one two three"}).text == "3"


def test_a_wrong_input_is_told_to_the_model(auxot_worker):
    answer = auxot_worker.call("word_count", {"text": 5})
    assert answer.is_error
    assert answer.status == "invalid_arguments"
    assert "text" in answer.text


def test_a_conversation_from_a_file(scripted_model, messages_client):
    scripted_model.load("../scenarios/word_count.yaml")
    assert messages_client.ask("How many words are there?").text == "Words in the text: 2"
