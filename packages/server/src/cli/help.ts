/** The texts of `myelin help`. */

const overview = `Myelin, a Matrix homeserver.

Usage: myelin [COMMAND] [FLAGS]

Commands:
  start                 run the server (the default)
  generate-config       write a new configuration, log configuration and signing key
  register-user         register an account on a running server
  hash-password         print the hash of a password
  generate-signing-key  print or write a new signing key
  db                    status, upgrade or roll back the database's schema
  federation            check whether this server and another one can talk
  help [COMMAND]        show this, or the flags of a command
  --version             show the version`

const serverHelp = `Usage: myelin start -c FILE [FLAGS]
       myelin --generate-config -H NAME --report-stats=yes|no [-c FILE] [FLAGS]

  -c, --config-path FILE|DIR   configuration; may be given several times: top-level options of later files
                               replace those of earlier ones, a folder stands for its *.yaml in order
  --no-secrets-in-config       refuse secrets that stand in the configuration itself
  --generate-config            write a new configuration and its side files, then exit
  -H, --server-name NAME       name of the server, for --generate-config
  --report-stats yes|no        whether statistics are reported, for --generate-config
  --generate-missing-configs, --generate-keys
                               write side files that are missing, then exit
  --generate-missing-and-run   write side files that are missing, then run (the default)
  --config-directory DIR       where the log configuration is written
  --keys-directory DIR         where the signing key is written
  --data-directory DIR         where database and media are
  --open-private-ports         listen at all addresses in the new configuration
  --enable-metrics             with metrics in the new configuration
  --enable-registration        open registration
  -d, --database-path FILE     the SQLite database
  -n, --no-redirect-stdio      accepted; standard output is never redirected
  -D, --daemonize              run in the background
  --print-pidfile              print the path of the file with the process id
  --first-run-directory DIR    without -c: use the configuration in this folder, written where it is missing`

const texts = new Map([
  ['start', serverHelp],
  ['generate-config', serverHelp],
  [
    'register-user',
    `Usage: myelin register-user (-c CONFIG | -k SECRET) [FLAGS] [SERVER_URL]

  -u, --user NAME         localpart of the new user; asked for where it is missing
  -p, --password TEXT     password; asked for where it is missing
  --password-file FILE    file with the password
  -t, --user_type TYPE    type of the user, such as bot or support
  -a, --admin, --no-admin whether the user is an administrator; asked for where it is missing
  --exists-ok             succeed where the user exists already
  -c, --config FILE       configuration with registration_shared_secret
  -k, --shared-secret TEXT  that secret
  SERVER_URL              default: the first listener of the configuration, else http://localhost:8008`,
  ],
  [
    'hash-password',
    `Usage: myelin hash-password [-p PASSWORD] [-c CONFIG]

  -p, --password TEXT  password; asked for, or read from standard input, where it is missing
  -c, --config FILE    configuration with bcrypt_rounds and password_config.pepper`,
  ],
  [
    'generate-signing-key',
    `Usage: myelin generate-signing-key [-o FILE]

  -o, --output_file FILE  file to write; must not exist. Default: standard output`,
  ],
  [
    'federation',
    `Usage: myelin federation check SERVER [-c CONFIG]

  Finds the server, connects to it, compares clocks, reads its keys and sends it a signed request, and says what fails and why.
  The name of this server itself shows how others find it.

  -c, --config-path FILE  configuration of this server. Default: homeserver.yaml`,
  ],
])

/** The help of a command, or the list of commands. */
export function help(command?: string): string {
  return (command === undefined ? undefined : texts.get(command)) ?? overview
}
