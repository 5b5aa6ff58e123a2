-- side.sqlite: what stands beside the log. Everything but secrets, answers and rejected commands is
-- derived: when the file is lost, checkpoints, timers and keys are made again from the log.
CREATE TABLE IF NOT EXISTS checkpoints (consumer TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS timers (
  process TEXT NOT NULL, key TEXT NOT NULL, due INTEGER NOT NULL, lane TEXT NOT NULL,
  event_id TEXT NOT NULL, ask TEXT NOT NULL, PRIMARY KEY (process, key)
) WITHOUT ROWID;
-- They are sorted by their moment in memory; nobody asks the table.
DROP INDEX IF EXISTS timers_due;

CREATE TABLE IF NOT EXISTS open_payments (payment_id TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS keys (
  command_id BLOB PRIMARY KEY, fingerprint TEXT NOT NULL, stream TEXT NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_at ON keys (at);

CREATE TABLE IF NOT EXISTS answers (
  command_id BLOB PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  headers TEXT NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_at ON answers (at);

CREATE TABLE IF NOT EXISTS rejected_commands (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, command TEXT NOT NULL,
  target TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, as_of INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS rejected_by_target ON rejected_commands (target, id);

-- Tokens of customers' payment methods, by the command that brought them; deleted once used.
CREATE TABLE IF NOT EXISTS payment_methods (
  command_id BLOB PRIMARY KEY, token TEXT NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;

-- How vehicles stood at the checkpoint "fleet".
CREATE TABLE IF NOT EXISTS fleet (vehicle_id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;

-- By what vehicles and we know each other; read at each use, so that rotating takes effect at once.
CREATE TABLE IF NOT EXISTS vehicle_credentials (
  vehicle_id TEXT PRIMARY KEY, password_hash TEXT NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
