"""{{ task }}"""

#% if width > 64
import math

#% endif

TITLE = {{ python(title) }}


class Model:
    width = {{ width }}
    rate = {{ python(rate) }}
    hooks = {{ python(hooks) }}
