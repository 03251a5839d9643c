"""How the guide is built: `make docs`, in which every warning is an error."""

project = "cookiecutter-rl-reproduction"
root_doc = "index"
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3  # `page.md#a-heading` is a link that is checked
nitpicky = True
exclude_patterns = ["examples"]  # shown in the pages of "Another paper", which include them
html_theme = "furo"
html_title = project
pygments_style = "friendly"
