"""What of this machine's pip configuration a build of the image is given."""

from __future__ import annotations

from tests.image.registries import pip_settings


def test_addresses_go_into_the_build_and_paths_of_this_machine_do_not() -> None:
    settings, certificates = pip_settings(
        ":env:.cert='/etc/ssl/certs/ca-certificates.crt'\n"
        ":env:.default-timeout='180'\n"
        "global.index-url='https://packages.example/simple'\n"
        "global.extra-index-url='file:///here https://more.example/simple'\n"
        "global.find-links='/opt/wheels'\n"
        "install.user='true'\n"
    )

    assert settings == {
        "index-url": "https://packages.example/simple",
        "extra-index-url": "https://more.example/simple",
        "timeout": "180",
    }
    assert certificates == "/etc/ssl/certs/ca-certificates.crt"


def test_a_machine_without_any_configuration_gives_none() -> None:
    assert pip_settings("") == ({}, None)
