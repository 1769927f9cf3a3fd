from .settings_page import PAGE, settings_page


def test_the_page_of_settings_is_what_their_declarations_make() -> None:
    assert PAGE.read_text() == settings_page(), "run: python -m tests.docs.settings_page"
