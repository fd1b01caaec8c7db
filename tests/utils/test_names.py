from nengo_dl.utils import function_name, sanitize_name


class CallableObject:
    def __call__(self, x):
        return x


def test_sanitize_name():
    assert sanitize_name(0) == "0"
    assert sanitize_name(None) == "None"
    assert sanitize_name("a b") == "a_b"
    assert sanitize_name("a:b") == "a_b"
    assert sanitize_name(r"Aa0.-/\,?^&*") == "Aa0.-/"


def test_function_name():
    assert function_name(test_sanitize_name) == "test_sanitize_name"
    assert function_name(CallableObject()) == "CallableObject"
    assert function_name(lambda x: x) == "lambda"
    assert function_name(lambda x: x, sanitize=False) == "<lambda>"
