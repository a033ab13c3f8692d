"""Settings: an option is what a flag says, else the environment, else the settings file, else its default.

All of it follows from the parsers of the verbs: an option ``--keep-connections`` is ``HALFOPEN_KEEP_CONNECTIONS`` in the
environment and ``keep-connections`` in the file, there in the section of a verb or, where several verbs have it, above all
sections. A verb that ends by itself takes only those from both; one that runs on takes all of its own.
"""

from __future__ import annotations

import os
import stat
import tomllib
from argparse import SUPPRESS, Action, ArgumentParser, Namespace, _AppendAction
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from halfopen.config import ACCOUNTS_URL, EDGE_KEY, KEY_FILE, data_path
from halfopen.errors import SettingsError, UsageError

FILE: Final = "halfopen.toml"
"""Name of the settings file in the data directory."""

RUNNING: Final = ("up", "serve", "edge", "sense")
"""The verbs that run on, each with a section of the file."""

PREFIX: Final = "HALFOPEN_"
CONFIG: Final = f"{PREFIX}CONFIG"

WITHOUT_FLAG: Final = {"accounts-url": ACCOUNTS_URL, "key-file": KEY_FILE, "edge-key": EDGE_KEY}
"""What has no flag, because everybody on a machine sees those: its key in the file, and its variable."""

SECRETS: Final = ("accounts-url", "edge-key")

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_NEVER: Final = ("help", "config")


@dataclass(frozen=True)
class Setting:
    """What an option of a verb is, and where that was said: ``--port``, ``HALFOPEN_PORT`` or a key of the file."""

    option: str
    value: object
    origin: str


@dataclass(frozen=True)
class _Said:
    """Something said for an option: as which name, and the value of the file or the text of the environment."""

    origin: str
    raw: Any

    def value(self, action: Action, read: Callable[[Action, Any], Any]) -> Any:
        """What it means; UsageError that names where it was said."""
        try:
            return read(action, self.raw)
        except UsageError as error:
            raise UsageError(self.origin, error.value, error.accepted) from None


class Settings:
    """What may be set of the verbs of a command line, by their parsers."""

    def __init__(self, verbs: Mapping[str, ArgumentParser], others: Iterable[ArgumentParser]) -> None:
        """`verbs` by their names; `others`: those with deeds as parsers of their own."""
        self._verbs = {name: verbs[name] for name in RUNNING}
        kept = {_meaning(*each): each for verb in self._verbs.values() for each in _options(verb).items()}
        every = {id(verb): verb for verb in (*self._verbs.values(), *others)}.values()
        count = Counter(_meaning(*each) for verb in every for each in _options(verb).items())
        self._shared = dict(option for meaning, option in kept.items() if count[meaning] > 1)

    def of(self, parser: ArgumentParser) -> dict[str, Action]:
        """The options of a verb that may be set, by their names without dashes."""
        running = self._section(parser) is not None
        return {
            name: each for name, each in _options(parser).items() if running or self._is_shared(name, each)
        }

    def _is_shared(self, name: str, action: Action) -> bool:
        return name in self._shared and _meaning(name, self._shared[name]) == _meaning(name, action)

    def fill(self, parser: ArgumentParser, args: Namespace) -> list[Setting]:
        """Give `args`, which has only what flags said, the rest; gives what was not left as it is by default.

        UsageError where something that was set cannot be used; it names the file or variable, the section and the key. SettingsError
        of all of them where there are several.
        """
        faults: list[UsageError] = []
        options = self.of(parser)
        set_ = {name: Setting(f"--{name}", getattr(args, each.dest), f"--{name}")
                for name, each in options.items() if hasattr(args, each.dest)}  # fmt: skip
        environment = {name: _Said(_variable(name), os.environ[_variable(name)])
                       for name in options if os.environ.get(_variable(name))}  # fmt: skip
        self._lay(parser, options, set_, environment, _from_text, faults)
        given = set_["data"].value if "data" in set_ else None
        with _noted(faults):
            path = self._path(args, str(given) if given is not None else None)
            if path is not None:
                for layer in self._read(path, parser, set_, faults):
                    self._lay(parser, options, set_, layer, _from_file, faults)
        if faults:
            raise faults[0] if len(faults) == 1 else SettingsError(faults)
        for name, each in options.items():
            value = set_[name].value if name in set_ else _default(each)
            setattr(args, each.dest, value)
        return list(set_.values())

    def _section(self, parser: ArgumentParser) -> str | None:
        return next((name for name, verb in self._verbs.items() if verb is parser), None)

    def _lay(
        self,
        parser: ArgumentParser,
        options: Mapping[str, Action],
        set_: dict[str, Setting],
        layer: Mapping[str, _Said],
        read: Callable[[Action, Any], Any],
        faults: list[UsageError],
    ) -> None:
        """Put a layer below what is `set_` already; of options that exclude each other one is enough. `faults` gets what cannot be used."""
        before, new = set(set_), dict[str, Setting]()
        for name, said in layer.items():
            if name not in options:
                continue
            with _noted(faults):
                value = said.value(options[name], read)
                rivals = _rivals(parser, options, name)
                if name in before or rivals & before:
                    continue
                for rival in rivals & set(new):
                    raise UsageError(said.origin, value, f"no {new[rival].origin} beside it")
                new[name] = Setting(f"--{name}", value, said.origin)
        set_.update(new)

    @staticmethod
    def _path(args: Namespace, data: str | None) -> Path | None:
        """The settings file: of ``--config``, of the environment, or in the data directory if there is one."""
        for name, given in (("--config", args.config), (CONFIG, os.environ.get(CONFIG))):
            if given:
                if not Path(given).is_file():
                    raise UsageError(name, given, "a settings file that is there")
                return Path(given)
        usual = data_path(data) / FILE
        return usual if usual.is_file() else None

    def _read(
        self, path: Path, parser: ArgumentParser, set_: Mapping[str, Setting], faults: list[UsageError]
    ) -> Iterator[dict[str, _Said]]:
        """What the file says for a verb, the section before what stands above all; the whole file is looked at."""
        told = _toml(path)
        if "data" in told and path == data_path(_text(set_.get("data"))) / FILE:
            accepted = "nothing: the file lies in the data directory"
            faults.append(UsageError(f"{path}: data", told.pop("data"), accepted))
        sections: dict[str, dict[str, _Said]] = {}
        above: dict[str, _Said] = {}
        for key, value in told.items():
            with _noted(faults):
                if isinstance(value, dict):
                    if key not in self._verbs:
                        raise UsageError(str(path), f"[{key}]", ", ".join(f"[{verb}]" for verb in RUNNING))
                    sections[key] = self._keys(f"{path}: [{key}] ", value, _options(self._verbs[key]), faults)
                elif key in WITHOUT_FLAG:
                    _without_flag(path, key, value)
                else:
                    above |= self._keys(f"{path}: ", {key: value}, self._shared, faults)
        yield sections.get(self._section(parser) or "", {})
        yield above

    def _keys(
        self, where: str, told: Mapping[str, Any], options: Mapping[str, Action], faults: list[UsageError]
    ) -> dict[str, _Said]:
        """What was said in a part of the file and can be used, all of it tried."""
        good = {}
        for key, value in told.items():
            with _noted(faults):
                if key not in options:
                    others = [f"[{name}]" for name, verb in self._verbs.items() if key in _options(verb)]
                    accepted = f"it under {' or '.join(others)}" if others else ", ".join(sorted(options))
                    # Its value is not shown: the key of a secret may be misspelled.
                    raise UsageError(f"{where}{key}", "a key of this name", accepted)
                said = _Said(f"{where}{key}", value)
                said.value(options[key], _from_file)
                good[key] = said
        return good


@contextmanager
def _noted(faults: list[UsageError]) -> Iterator[None]:
    """A block whose fault is noted, so that the next one can be told as well."""
    try:
        yield
    except UsageError as fault:
        faults.append(fault)


@contextmanager
def without_defaults(options: Mapping[str, Action]) -> Iterator[None]:
    """A parser of these options leaves away what no flag says."""
    before = {name: each.default for name, each in options.items()}
    for each in options.values():
        each.default = SUPPRESS
    try:
        yield
    finally:
        for name, each in options.items():
            each.default = before[name]


def _options(parser: ArgumentParser) -> dict[str, Action]:
    """Options by their long names, without dashes; those that must be given are no settings."""
    return {
        option.removeprefix("--"): each
        for each in parser._actions
        for option in each.option_strings
        if option.startswith("--") and not each.required and each.dest not in _NEVER
    }


def _meaning(name: str, action: Action) -> tuple[str, str | None]:
    """What an option is known by: verbs may use one name for different things."""
    return name, action.help


def _rivals(parser: ArgumentParser, options: Mapping[str, Action], name: str) -> set[str]:
    """The options that exclude this one."""
    groups = [
        g._group_actions for g in parser._mutually_exclusive_groups if options[name] in g._group_actions
    ]
    return {other for group in groups for other, each in options.items() if each in group and other != name}


def _variable(name: str) -> str:
    return PREFIX + name.replace("-", "_").upper()


def _text(setting: Setting | None) -> str | None:
    return None if setting is None or setting.value is None else str(setting.value)


def _default(action: Action) -> Any:
    default = action.default
    return _converted(action, default) if isinstance(default, str) else default


def _converted(action: Action, text: str) -> Any:
    """As argparse does, but for its words."""
    value = action.type(text) if callable(action.type) else text
    if action.choices is not None and value not in action.choices:
        raise UsageError(action.dest, text, ", ".join(map(str, action.choices)))
    return value


def _from_text(action: Action, text: str) -> Any:
    """What a variable means."""
    if action.nargs == 0:
        if text.lower() not in (*_TRUE, *_FALSE):
            raise UsageError(action.dest, text, f"{', '.join(_TRUE)} or {', '.join(_FALSE)}")
        return text.lower() in _TRUE
    return _listed(action, text.split(",")) if isinstance(action, _AppendAction) else _converted(action, text)


def _from_file(action: Action, value: Any) -> Any:
    """What a value of the file means."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(action.dest, _shown(value), "true or false")
        return value
    if isinstance(action, _AppendAction):
        return _listed(
            action, [_spelled(action, each) for each in (value if isinstance(value, list) else [value])]
        )
    return _converted(action, _spelled(action, value))


def _spelled(action: Action, value: Any) -> str:
    """A value of the file as a flag would have it."""
    numbers = (int, float) if action.type is not None else ()
    if isinstance(value, bool) or not isinstance(value, (str, *numbers)):
        raise UsageError(action.dest, _shown(value), "text or a number" if numbers else "text")
    return str(value)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(action: Action, texts: list[str]) -> list[Any]:
    found: list[Any] = []
    for text in texts:
        value = _converted(action, text)
        found += value if isinstance(value, tuple) else [value]
    return found


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            told = tomllib.load(file)
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(str(path), "what is in it", f"TOML ({error})") from None
    secrets = [key for key in SECRETS if key in told]
    if secrets and mode & 0o077:
        accepted = f"a file that its owner alone may read (mode {mode:04o}; chmod 600 {path})"
        raise UsageError(f"{path}: {secrets[0]}", "a secret in it", accepted)
    return told


def _without_flag(path: Path, key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{path}: {key}", "what is there" if key in SECRETS else value, "text")
    os.environ.setdefault(WITHOUT_FLAG[key], value)
