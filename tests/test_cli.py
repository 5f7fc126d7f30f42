"""The commands read parameters as `kedro run` does."""

import click
import pytest

from chest_xray.cli import parse_params, serve

OPTION = next(each for each in serve.params if each.name == "params")


def parse(value: str) -> object:
    return parse_params(click.Context(serve), OPTION, value)


def test_parameters_are_nested_and_typed() -> None:
    assert parse("serving.port=0, serving.host = a=b,split_table=null") == {
        "serving": {"port": 0, "host": "a=b"},
        "split_table": None,
    }
    assert parse("") == {}


@pytest.mark.parametrize("value", ["port", "=1"])
def test_a_parameter_without_key_or_value_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match=f"received '{value}'; expected key=value"):
        parse(value)
