"""What several verbs use: console and inputs."""
