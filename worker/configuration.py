"""Loading the settings from the environment and a TOML file, and wording what is wrong. Contract section 9.

A value comes from the environment (`STOCKFREEZE_…`), else from the TOML file (the same name in lower case), else it is
the default. Everything is checked before anything starts. Any error, also an unknown name, is one sentence that names
the setting.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from worker.settings import ENVIRONMENT_PREFIX, PolicySettings, Settings, SettingsError

_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?$")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


def load_settings(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the file, if one is given, and the environment over it, and check everything.

    Raises SettingsError for a file that cannot be read, an unknown name, and a wrong value.
    """
    from_file = {} if config is None else _read_file(config)
    from_environment = _read_environment(environ)
    try:
        settings = Settings(**{**from_file, **from_environment})
    except ValidationError as error:
        raise SettingsError(_sentence(error.errors(include_url=False)[0], config, from_environment)) from None
    _check_overridden(from_file, from_environment, config)
    settings.client_options()
    return settings


SettingSource = Literal["environment", "file", "default"]


def setting_sources(config: Path | None, environ: Mapping[str, str]) -> dict[str, SettingSource]:
    """Find the source of each setting's value, by the setting's name in lower case. Raises SettingsError."""
    from_file = {} if config is None else _read_file(config)
    from_environment = _read_environment(environ)
    return {
        name: "environment" if name in from_environment else "file" if name in from_file else "default"
        for name in Settings.model_fields
    }


def _check_overridden(from_file: Mapping[str, Any], from_environment: Mapping[str, str], config: Path | None) -> None:
    """Check the file's values that the environment overrides, because the next run may be without the variable."""
    try:
        Settings(**from_file)
    except SettingsError:
        return  # whether all fits together is judged with the environment
    except ValidationError as error:
        overridden = [detail for detail in error.errors(include_url=False) if detail["loc"][0] in from_environment]
        if overridden:
            raise SettingsError(_sentence(overridden[0], config, {})) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the configuration file {path} is not TOML: {error}") from error
    for name in values:
        if name not in Settings.model_fields:
            raise SettingsError(f"unknown setting {name} in {path}{_hint(name.lower(), Settings.model_fields)}")
    return values


def _read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or _is_service_link(variable, value):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name == "accounts":
            raise SettingsError(
                f'{variable} is not read: accounts are tables [accounts."ID"] of the configuration file'
            )
        if name not in Settings.model_fields or variable != variable.upper():
            known = (field for field in Settings.model_fields if field != "accounts")
            hint = _hint(name, known, lambda field: f"{ENVIRONMENT_PREFIX}{field.upper()}")
            raise SettingsError(f"unknown environment variable {variable}{hint}")
        values[name] = value
    return values


def _is_service_link(variable: str, value: str) -> bool:
    """Return whether Kubernetes set the variable, as it does for every Service; some names share our prefix."""
    if variable.removeprefix(ENVIRONMENT_PREFIX).lower() in Settings.model_fields:
        return False
    return bool(_SERVICE_LINK.search(variable)) or (variable.endswith("_PORT") and bool(_SERVICE_URL.match(value)))


def _hint(name: str, known: Iterable[str], written: Callable[[str], str] = str) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {written(close[0])})" if close else ""


def _sentence(error: ErrorDetails, config: Path | None, from_environment: Mapping[str, str]) -> str:
    """Name the setting that is wrong, its source, what it must be and what it is."""
    name, *inner = (str(part) for part in error["loc"])
    if name in from_environment:
        where = f"setting {name.upper()} (environment variable {ENVIRONMENT_PREFIX}{name.upper()})"
    elif inner[-1:] == ["[key]"]:
        where = f'the account id of [accounts."{inner[0]}"] in {config}'
    elif inner:
        where = f"setting {'.'.join([name, *inner])} in {config}"
        if error["type"] == "extra_forbidden":
            return f"unknown {where}{_hint(inner[-1], PolicySettings.model_fields)}"
    else:
        where = f"setting {name.upper()} ({name} in {config})"
    return f"{where} {_requirement(error, secret=name in ('sasl_password', 'ssl_key_password'))}"


_REQUIREMENTS: Final = {
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("dict_type", "model_type"), 'must be a table, such as [accounts."ID"]'),
}
"""Requirements in the words of settings, where the library uses its own terms."""


def _requirement(error: ErrorDetails, *, secret: bool) -> str:
    text = _REQUIREMENTS.get(error["type"]) or re.sub("^(Input|String) should", "must", error["msg"])
    return text if secret else f"{text}, not {error.get('input')!r}"
