package config

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// secretWords are secret wherever they occur in a folded name.
var secretWords = regexp.MustCompile(`passw|passphrase|pwd|secret|token|credential|apikey|accesskey|privatekey|signingkey|encryptionkey|sharedkey|accountkey|connectionstring|connstr|bearer`)

// secretParts are secret if a part of a name is one of them, or ends with it.
var secretParts = []string{"pass", "pw", "creds", "dsn"}

// notSecretParts end like a secret part, and are none.
var notSecretParts = []string{"bypass", "compass", "encompass", "trespass", "overpass", "underpass"}

// SecretName reports whether the name of a key suggests a secret, for example
// "db/password", "api-token", "db/pass" or "dsn". Use it where there is no struct
// whose tags mark the secrets.
func SecretName(key string) bool {
	return secretWords.MatchString(fold(key)) || slices.ContainsFunc(wordsOf(key), isSecretWord)
}

func isSecretWord(word string) bool {
	return !slices.Contains(notSecretParts, word) &&
		slices.ContainsFunc(secretParts, func(part string) bool { return strings.HasSuffix(word, part) })
}

// wordsOf returns the words of a name in lower case: it is separated at characters
// that are no letters, and before upper-case letters after lower-case ones.
func wordsOf(name string) []string {
	var spaced strings.Builder
	lower := false
	for _, r := range name {
		if unicode.IsUpper(r) && lower {
			spaced.WriteRune(' ')
		}
		lower = unicode.IsLower(r)
		spaced.WriteRune(r)
	}
	return strings.FieldsFunc(strings.ToLower(spaced.String()), func(r rune) bool { return !unicode.IsLetter(r) })
}

// RedactValue returns the value of a key as it may be shown where there is no
// struct whose tags mark the secrets. It is [Redacted] if the key has a
// [SecretName]. Otherwise the passwords in the value are replaced: in URLs
// (also if they are not escaped), in assignments such as password=…, and in JSON
// objects, where the key is a SecretName.
func RedactValue(key, value string) string {
	if SecretName(key) {
		return Redacted
	}
	return redactText(value)
}

var (
	// userInfo matches the user information of a URL, up to the last @: an unescaped
	// password may contain one.
	userInfo = regexp.MustCompile(`(?s)://([^:@/?#\s]*):.*@`)
	// onlyUser is a user without a password, which may be a token.
	onlyUser = regexp.MustCompile(`://[^:@/?#\s]+@`)
	// mysqlUser is the beginning of a data source name without a scheme.
	mysqlUser = regexp.MustCompile(`(?s)^([^:@/?#\s]*):.*@(\w*\()`)
	// assignment is one of a query, a libpq connection string or an Azure one.
	assignment = regexp.MustCompile(`([\w.-]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s&;,"']+)`)
	// member is one of a JSON object.
	member = regexp.MustCompile(`"([^"\\]+)"(\s*:\s*)("(?:[^"\\]|\\.)*"|[^\s,}\]]+)`)
)

// redactText replaces the passwords in a text.
func redactText(text string) string {
	text = userInfo.ReplaceAllString(text, "://${1}:"+Redacted+"@")
	text = onlyUser.ReplaceAllString(text, "://"+Redacted+"@")
	text = mysqlUser.ReplaceAllString(text, "${1}:"+Redacted+"@${2}")
	text = redactPairs(text, assignment, Redacted)
	return redactPairs(text, member, `"`+Redacted+`"`)
}

// redactPairs replaces the values of the names that are secret.
func redactPairs(text string, pair *regexp.Regexp, redacted string) string {
	return pair.ReplaceAllStringFunc(text, func(found string) string {
		m := pair.FindStringSubmatch(found)
		if !SecretName(m[1]) {
			return found
		}
		return found[:len(found)-len(m[3])] + redacted
	})
}
