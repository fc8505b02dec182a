"""The one version number: of both distributions and of what they say of themselves."""

VERSION = "0.1.0"
