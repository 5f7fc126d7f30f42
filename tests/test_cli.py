"""The commands read parameters as `kedro run` does."""

import click
import pytest
from click.testing import CliRunner

from chest_xray.cli import demo, parse_params, serve
from chest_xray.serving import starting

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


@pytest.mark.parametrize(("command", "with_page"), [(serve, False), (demo, True)])
def test_an_option_of_a_server_takes_precedence_over_its_parameter(
    command: click.Command, with_page: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(starting, "read_environment", lambda *received: started.append(received))
    monkeypatch.setattr(starting, "start", lambda *_, **how: started.append(how))
    arguments = ["--env=test", "--params=serving.port=1,serving.host=a,data_root=null", "--port=2"]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    assert started[0] == ("test", {"serving": {"port": 2, "host": "a"}, "data_root": None})
    assert started[1] == {"with_page": with_page, "browser": with_page}
