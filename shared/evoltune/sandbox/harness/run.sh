# Sources a program and then its tests, and reports when the tests have ended: at their last line or by an `exit` of their own.
# Names end in a word that is another one in each run; the secret stays unread until then.
exec 63<&3 62>&4 3<&- 4>&-
BASH_ARGV0=program.sh
source ./program.sh
_last_@NONCE@() {
    local status=$1 secret
    builtin read -r -u 63 secret
    [[ $status == 0 ]] && builtin printf '%s%s' "$secret" "$status" >&62
    builtin return "$status"
}
unset -f [ test true false echo printf eval read return source builtin command exit set trap local shift declare unset 2>/dev/null
unalias -a
shopt -u expand_aliases
BASH_ARGV0=tests.sh
exit() {
    local status=$?
    (($#)) && status=$1
    if [[ ${BASH_SOURCE[1]} == ./@NONCE@.sh && $BASH_SUBSHELL == 0 ]]; then _last_@NONCE@ "$status"; fi
    builtin exit "$status"
}
readonly -f exit _last_@NONCE@
rm -f ./program.sh ./main.sh
source ./@NONCE@.sh
_last_@NONCE@ $?
