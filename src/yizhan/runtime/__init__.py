"""The corridors: shells that carry messages along the two roads. They name no platform and no engine."""
