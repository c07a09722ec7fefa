class {{ class_name }}:
    hooks = {{ python(hook) }}
