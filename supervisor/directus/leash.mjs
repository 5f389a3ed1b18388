// Loaded by Node before a Directus command (`--import`): when the supervisor is gone, so is the channel to it, and the
// command must not go on without the migration lock. The listener alone keeps no command from ending.

process.once('disconnect', () => process.exit(1));
process.channel?.unref();
