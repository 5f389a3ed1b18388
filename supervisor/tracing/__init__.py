"""Each boot as an OpenTelemetry trace, where that is asked for; nothing of it is imported where it is not."""
