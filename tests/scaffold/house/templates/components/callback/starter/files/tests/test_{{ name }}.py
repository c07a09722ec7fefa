from {{ package }}.callbacks.{{ name }} import {{ class_name }}


def test_hooks():
    assert {{ class_name }}.hooks
