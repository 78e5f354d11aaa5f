"""Policy packs: how an assistant should behave in a country or an organisation, as data."""
