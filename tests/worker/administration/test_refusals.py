"""What is said of a change that cannot be made keeps the operator's own spelling."""

from worker.administration.refusals import not_there


def test_a_near_name_is_given_as_it_is_written() -> None:
    assert not_there("provider", "MyProvide", ["MyProvider"]).message == (
        "Unknown provider 'MyProvide'; did you mean 'MyProvider'?"
    )
    assert not_there("key", "Zzz", ["Abc"]).message == "Unknown key 'Zzz'; valid are Abc."
