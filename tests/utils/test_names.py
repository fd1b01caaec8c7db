from nengo_dl.utils import (
    function_name,
    keras_names,
    readable_name,
    sanitize_name,
)


class CallableObject:
    def __call__(self, x):
        return x


def test_sanitize_name():
    assert sanitize_name(0) == "0"
    assert sanitize_name(None) == "None"
    assert sanitize_name("a b") == "a_b"
    assert sanitize_name("a:b") == "a_b"
    assert sanitize_name(r"Aa0.-/\,?^&*") == "Aa0.-/"


def test_readable_name():
    assert readable_name("a b:c?") == "a_b_c"
    assert readable_name("ünï/çødé 日本\u3000🎉\ud800\u200b") == "ünï/çødé_日本_🎉"
    assert readable_name(None) == "None"


def test_keras_names():
    assert keras_names(["in/x", "in_x", "in_x_1"]) == ["in_x_2", "in_x", "in_x_1"]
    assert keras_names(["日本", "日🎉", "_a", "/", "-", ".b", ""]) == [
        "input__",
        "input___1",
        "input_a",
        "input_",
        "input-",
        ".b",
        "input",
    ]


def test_function_name():
    assert function_name(test_sanitize_name) == "test_sanitize_name"
    assert function_name(CallableObject()) == "CallableObject"
    assert function_name(lambda x: x) == "lambda"
    assert function_name(lambda x: x, sanitize=False) == "<lambda>"
