"""What a person is told about a settings file that can't be used."""

import pytest

from callseal.config.errors import ConfigError, ConfigSyntaxError, ConfigValueError
from callseal.config.masking import MASK
from callseal.config.sources import BridgeSource
from support.settings_text import DEVICE, FILE, LEAST, SOURCE, problems_of, settings_of


def test_the_least_file_is_valid_and_everything_else_has_a_default() -> None:
    settings = settings_of(LEAST)

    assert settings.device.site == "bj"
    assert settings.spool.on_full == "refuse-call"
    assert settings.numbers.emergency == ("110", "119", "120", "122")
    assert [announcement.name for announcement in settings.announcements] == ["zh", "en"]


def test_a_problem_names_file_key_value_and_what_is_allowed() -> None:
    with pytest.raises(ConfigValueError) as caught:
        settings_of(LEAST + '[spool]\non_full = "maybe"\n')

    assert str(caught.value) == f'{FILE}: spool.on_full = "maybe": must be "refuse-call" or "pass"'
    assert caught.value.exit_code == 78


def test_all_problems_are_told_at_once() -> None:
    text = (
        'schema = 2\nsead = 1\n[device]\nsite = "Bei Jing"\n[seal]\nflush_s = 9\n'
        '[[source]]\ntype = "bridge"\nlisten = "127.0.0.1"\npbx = "pbx"\n'
        '[[rule]]\nbusiness = "travel"\n[[rule]]\nannouncements = ["fr"]\n'
    )

    keys = {line.partition(":")[0].partition(" =")[0] for line in problems_of(text)}

    assert keys == {
        "schema",
        "sead",
        "device.site",
        "seal.flush_s",
        "source[1].listen",
        "source[1].pbx",
        "rule[1].business",
        "rule[2].announcements[1]",
    }


@pytest.mark.parametrize(
    ("addition", "line"),
    [
        ("[seal]\nflush_s = 5.01\n", "seal.flush_s = 5.01: must be a number from 0 to 5"),
        ("[seal]\nflush_s = nan\n", "seal.flush_s = NaN: must be a number from 0 to 5"),
        ('[seal]\nflush_s = "1"\n', 'seal.flush_s = "1": must be a number from 0 to 5'),
        (
            "[spool]\nmin_free_mb = true\n",
            "spool.min_free_mb = true: must be a whole number from 16 to 1000000",
        ),
        ("[disclosure]\nhold_talk = 1\n", "disclosure.hold_talk = 1: must be true or false"),
        ('[spool]\npath = ""\n', 'spool.path = "": must be a path of 1 to 4096 characters'),
        (
            '[spool]\npath = "~/spool"\n',
            'spool.path = "~/spool": must be a path without "~": a service has no home folder',
        ),
        ('[spool]\npath = "a\\u0000b"\n', 'spool.path = "a\\u0000b": must hold no control characters'),
        ("[numbers]\nemergency = []\n", "numbers.emergency = []: must hold at least 1"),
        (
            "[numbers]\nemergency = [110]\n",
            "numbers.emergency[1] = 110: must be a number of 2 to 15 digits, in quotes",
        ),
        (
            '[numbers]\nregion = "XX"\n',
            (
                'numbers.region = "XX": must be the two capital letters of a country or region (ISO 3166), '
                'such as "CN"'
            ),
        ),
        (
            "[log]\nlevel = {a = 1}\n",
            'log.level = {…}: must be "debug" or "info" or "warning" or "error"',
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_range(addition: str, line: str) -> None:
    assert problems_of(LEAST + addition) == [line]


def test_an_unknown_key_suggests_the_nearest_known_one() -> None:
    problems = problems_of(LEAST + "[seal]\nflush = 1\n")

    assert problems == ['seal.flush: unknown key; did you mean "flush_s"?']


def test_an_unknown_key_that_resembles_nothing_is_told_what_is_known() -> None:
    problems = problems_of(LEAST + "[disclosure]\nxyzzy = 1\n")

    assert problems == ["disclosure.xyzzy: unknown key; known here: on_failure, hold_talk"]


@pytest.mark.parametrize("name", ["_cli_parse_args", "_env_file", "self", "sources"])
def test_no_name_of_the_program_itself_passes_for_a_key(name: str) -> None:
    problems = problems_of(f"{name} = 1\n{LEAST}")

    assert len(problems) == 1
    assert problems[0].startswith(f"{name}: unknown key")


def test_a_missing_key_says_what_it_is_for() -> None:
    problems = problems_of("schema = 1\n[device]\n" + SOURCE)

    assert problems == [
        (
            "device.site: missing: must be a short name of 1 to 32 small letters, digits and inner hyphens. "
            "Where the device stands; public, part of every manifest."
        )
    ]


def test_a_list_of_tables_written_as_one_table_is_explained() -> None:
    problems = problems_of(f'schema = 1\n{DEVICE}[source]\ntype = "bridge"\n')

    assert problems == ["source = {…}: must be tables, each under [[source]]"]


@pytest.mark.parametrize(
    ("table", "allowed"),
    [
        ('type = "siprecc"', 'must be "bridge" or "siprec" or "soundcard" or "folder"'),
        ("type = 3", 'must be "bridge" or "siprec" or "soundcard" or "folder"'),
        ("", 'missing: must be "bridge" or "siprec" or "soundcard" or "folder"'),
        ('type = "soundcard"', 'not available in this version yet; must be "bridge" or "siprec"'),
        (
            'type = "folder"\npath = "in"',
            'not available in this version yet; must be "bridge" or "siprec"',
        ),
    ],
)
def test_a_source_that_there_is_not_is_refused_with_those_there_are(table: str, allowed: str) -> None:
    problems = problems_of(f"{LEAST}[[source]]\n{table}\n")

    assert len(problems) == 1
    assert problems[0].startswith("source[2].type")
    assert problems[0].endswith(allowed)


def test_an_important_store_alone_would_take_nothing_of_the_rest() -> None:
    store = 'name = "a"\ntype = "directory"\npath = "a"\ntakes = "important"\n'

    problems = problems_of(f"{LEAST}[[store]]\n{store}")

    assert problems == ['store[1].takes = "important": at least one [[store]] must take "all"']


def test_a_custodian_needs_a_store_to_copy_from() -> None:
    store = 'name = "a"\ntype = "directory"\npath = "a"\nfilled_by = "custodian"\n'

    problems = problems_of(f"{LEAST}[[store]]\n{store}")

    assert len(problems) == 1
    assert problems[0].startswith('store[1].filled_by = "custodian"')


def test_what_is_important_names_business_types_that_there_are() -> None:
    problems = problems_of(f'{LEAST}[[important]]\nbusiness = "sale"\n')

    assert len(problems) == 1
    assert problems[0].startswith('important[1].business = "sale": no business type has this id')


def test_a_warning_comes_before_the_disk_counts_as_full() -> None:
    problems = problems_of(f"{LEAST}[spool]\nwarn_percent = 95\nfull_percent = 90\n")

    assert problems == ["spool.warn_percent = 95: must be less than full_percent, 90"]


@pytest.mark.parametrize("more", ["", "[custodian]\n"])
def test_who_records_nothing_needs_no_source(more: str) -> None:
    settings = settings_of(f'schema = 1\n[device]\nsite = "hq"\n{more}')

    assert settings.sources == ()
    assert (settings.custodian is not None) == bool(more)


def test_tls_towards_a_telephone_of_this_machine_is_refused() -> None:
    problems = problems_of(LEAST + 'phone = "sip:6001@127.0.0.1:5070;transport=tls"\n')

    assert len(problems) == 1
    assert problems[0].endswith("a telephone on the same machine; must be udp or tcp")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_the_telephone_system_may_be_reached_by_every_transport(transport: str) -> None:
    text = LEAST.replace('pbx = "sip:pbx.example"', f'pbx = "sip:pbx.example;transport={transport}"')

    source = settings_of(text).sources[0]

    assert isinstance(source, BridgeSource)
    assert (source.pbx.transport, source.pbx.port) == (transport, 5061 if transport == "tls" else 5060)


@pytest.mark.parametrize("listen", ["0.0.0.0:5060", "192.0.2.1:5060", "[::]:5060"])
def test_a_bridge_that_others_could_reach_is_refused_with_the_reason(listen: str) -> None:
    problems = problems_of(LEAST + f'listen = "{listen}"\n')

    assert len(problems) == 1
    assert problems[0].startswith(f'source[1].listen = "{listen}": must be a loopback address')


@pytest.mark.parametrize(
    ("addition", "line"),
    [
        (
            (
                '[[announcement]]\nname = "a"\nlanguage = "zh-CN"\nfile = "builtin:zh"\n'
                '[[announcement]]\nname = "a"\nlanguage = "en"\nfile = "builtin:en"\n'
            ),
            'announcement[2].name = "a": already stands in announcement[1]; each must differ',
        ),
        (
            (
                '[[store]]\nname = "a"\ntype = "directory"\npath = "x"\n'
                '[[store]]\nname = "a"\ntype = "directory"\npath = "y"\n'
            ),
            'store[2].name = "a": already stands in store[1]; each must differ',
        ),
        (
            '[[business]]\nid = "sales"\n[[business]]\nid = "sales"\n',
            'business[2].id = "sales": already stands in business[1]; each must differ',
        ),
        (
            (
                '[[source]]\ntype = "bridge"\npbx = "sip:a"\nlisten = "127.0.0.1:5061"\n'
                '[[source]]\ntype = "bridge"\npbx = "sip:b"\nlisten = "127.0.0.1:5061"\n'
            ),
            'source[3].listen = "127.0.0.1:5061": already stands in source[2]; each must differ',
        ),
        (
            '[[rule]]\nannouncements = ["zh", "fr"]\n',
            'rule[1].announcements[2] = "fr": no [[announcement]] has this name; must be one of "zh", "en"',
        ),
        (
            (
                '[[announcement]]\nname = "own"\nlanguage = "zh-CN"\nfile = "own.wav"\n'
                '[[rule]]\nannouncements = ["zh"]\n'
            ),
            'rule[1].announcements[1] = "zh": no [[announcement]] has this name; must be one of "own"',
        ),
        (
            '[[announcement]]\nname = "a"\nlanguage = "fr"\nfile = "builtin:fr"\n',
            (
                'announcement[1].file = "builtin:fr": no such voice is shipped; '
                'must be one of "builtin:zh", "builtin:en", or the path of a file'
            ),
        ),
    ],
)
def test_tables_that_contradict_one_another_are_refused(addition: str, line: str) -> None:
    assert problems_of(LEAST + addition) == [line]


def test_a_rule_with_an_unknown_business_type_is_told_the_known_ones() -> None:
    problems = problems_of(f'{LEAST}[[rule]]\n[[rule]]\nbusiness = "travel"\n')

    assert len(problems) == 1
    assert problems[0].startswith('rule[2].business = "travel": no business type has this id; ')
    assert '"sales", "underwriting", "claims"' in problems[0]


def test_a_new_business_type_needs_labels_and_a_retention_class() -> None:
    problems = problems_of(f'{LEAST}[[business]]\nid = "renewal"\nlabel_zh = "续保"\n')

    assert problems == [
        "business[1].label_en: missing: needed for a business type that is not built in",
        "business[1].retention_class: missing: needed for a business type that is not built in",
    ]


@pytest.mark.parametrize(
    ("addition", "key"),
    [
        ('password = "geheim"\n', "source[1].password"),
        ('[store_access]\naws_secret_access_key = "geheim"\n', "store_access.aws_secret_access_key"),
        ('[seal]\npassphrase = "geheim"\n', "seal.passphrase"),
        ('[[rule]]\na = [{ token = "geheim" }]\n', "rule[1].a[1].token"),
    ],
)
def test_a_secret_is_refused_wherever_it_stands_and_never_repeated(addition: str, key: str) -> None:
    text = "\n".join(problems_of(LEAST + addition))

    assert f'{key} = "{MASK}": a secret has no place in this file' in text
    assert "boto3's credentials chain" in text
    assert "geheim" not in text


@pytest.mark.parametrize(
    "addition",
    [
        'phone = "sip:6001:geheim@127.0.0.1"\n',
        '[[store]]\nname = "a"\ntype = "s3"\nbucket = "abc"\nendpoint = "https://u:geheim@s3.example"\n',
        '[device.x]\ny = "AGE-SECRET-KEY-1GEHEIM"\n',
        '[checks]\nsilent_s = "AGE-SECRET-KEY-1geheim"\n',
        '[log]\nlevel = "-----BEGIN PRIVATE KEY----- geheim"\n',
    ],
)
def test_a_value_that_looks_secret_is_masked(addition: str) -> None:
    text = "\n".join(problems_of(LEAST + addition))

    assert text
    assert "geheim" not in text.lower()


def test_a_long_value_is_cut_and_control_characters_never_reach_the_terminal() -> None:
    problems = problems_of(f'{LEAST}[log]\nlevel = "\\u001b[31m{"a" * 500}\\u009b"\n')

    assert len(problems) == 1
    assert len(problems[0]) < 200
    assert problems[0].isprintable()


def test_a_number_too_long_to_be_written_out_is_refused_all_the_same() -> None:
    problems = problems_of(f"{LEAST}[spool]\nmin_free_mb = 0x{'f' * 5000}\n")

    assert problems == ["spool.min_free_mb = …: must be a whole number from 16 to 1000000"]


@pytest.mark.parametrize(
    "endpoint", ["s3.example.com", "ftp://s3.example.com", "https://", "http://a:b/", "https://a?b"]
)
def test_a_store_needs_an_http_address(endpoint: str) -> None:
    store = f'name = "a"\ntype = "s3"\nendpoint = "{endpoint}"\nbucket = "calls"\n'

    problems = problems_of(f"{LEAST}[[store]]\n{store}")

    assert problems[0] == (
        f'store[1].endpoint = "{endpoint}": must be an address such as "https://s3.example.com"'
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("schema = 1\n\n[dev\n", 3),
        ("schema = 1\nschema = 2\n", 2),
        ("schema = 1\r\n= 3\r\n", 2),
        ("schema = 1\n[a]\nx = '", 3),
        ("a = [1,\n2,\n", 3),
    ],
)
def test_a_mistake_in_the_syntax_names_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigSyntaxError) as caught:
        settings_of(text)

    assert caught.value.problems[0].line == line
    assert str(caught.value).startswith(f"{FILE}:{line}: not TOML: ")


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000])
def test_toml_that_breaks_its_reader_is_a_mistake_in_the_syntax(text: str) -> None:
    with pytest.raises(ConfigSyntaxError, match="not TOML"):
        settings_of(text)


def test_every_error_belongs_to_the_exit_code_for_configuration() -> None:
    kinds: list[type[ConfigError]] = [ConfigError, *ConfigError.__subclasses__()]

    assert {kind.exit_code for kind in kinds} == {78}
    assert all(kind.permanent for kind in kinds)


SIPREC = '[[source]]\ntype = "siprec"\n'


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('tls_listen = "127.0.0.1:5071"\ncertificate_file = "a.pem"', "certificate_key_file: missing"),
        ('tls_listen = "127.0.0.1:5071"\ncertificate_key_file = "a.key"', "certificate_file: missing"),
        ('peer_ca_file = "ca.pem"', 'peer_ca_file = "ca.pem": has no effect without tls_listen'),
        ('peer_names = ["sbc.example.com"]', "has no effect without tls_listen"),
        ('listen = "192.0.2.10:5070"', "peers: missing: listen can be reached from other machines"),
        (
            'tls_listen = "192.0.2.10:5071"\ncertificate_file = "a"\ncertificate_key_file = "b"',
            "peers: missing: tls_listen can be reached",
        ),
        ('rtp_ports = "20000-20399"\nmax_calls = 101', "holds 400 ports, but max_calls = 101 needs 404"),
        ('peers = ["192.0.2.1/24"]', "must be an IP address or a network"),
        ('media_address = "gateway"', "must be an IP address"),
        ('inside = ["+86 10"]', 'must be a number with "*" for any digits'),
    ],
)
def test_a_recording_server_that_could_not_serve_is_refused(keys: str, problem: str) -> None:
    problems = problems_of(f"{LEAST}{SIPREC}{keys}\n")

    assert any(problem in found for found in problems), problems


def test_a_recording_server_on_loopback_needs_nothing_else() -> None:
    settings = settings_of(LEAST + SIPREC)

    assert settings.is_banked()
