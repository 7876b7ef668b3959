package providers

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/regularfile"
)

// Kind is the type of a [Setting]'s value.
type Kind string

// The kinds of settings. All values are written as text in a URL's query.
const (
	String   Kind = "string"
	Bool     Kind = "bool"     // true or false
	Int      Kind = "int"      // a decimal number
	Duration Kind = "duration" // as time.ParseDuration reads it: 1500ms, 2s, 1h
	Enum     Kind = "enum"     // one of Values
	File     Kind = "file"     // the path of a regular file of at most 1 MiB that can be read, or of a link to one
	Env      Kind = "env"      // the name of an environment variable that holds a secret
)

// Setting declares one name=value in the query of a provider's URL. It is data, so
// that a plugin's settings are validated before its process starts.
type Setting struct {
	Name    string
	Kind    Kind
	Default string   // used when the URL does not set it; may be empty
	Values  []string // the accepted values of an Enum
	Min     int64    // least accepted Int, or Duration in nanoseconds
	Max     int64    // greatest accepted Int, or Duration in nanoseconds; 0 for no bound
	Help    string   // one line
}

// Settings is a validated URL. The Open of a [Scheme] gets it. It prints as its
// scheme and the names of its settings, also in a log and in JSON.
type Settings struct {
	URL    *url.URL // without its query; may hold credentials: never print it
	Logger *slog.Logger

	rawURL    string
	lookupEnv func(string) (string, bool)
	declared  []Setting
	values    map[string]string
}

// Format implements [fmt.Formatter]: no verb prints a credential.
func (s Settings) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, s.text()) }

// LogValue implements [slog.LogValuer].
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.text()) }

// MarshalText implements [encoding.TextMarshaler].
func (s Settings) MarshalText() ([]byte, error) { return []byte(s.text()), nil }

func (s Settings) text() string {
	scheme := ""
	if s.URL != nil {
		scheme = s.URL.Scheme
	}
	names := slices.Sorted(maps.Keys(s.values))
	return fmt.Sprintf("settings of a %s URL: %s", scheme, cmp.Or(strings.Join(names, ", "), "none"))
}

// RawURL returns the URL as it was given. It may hold credentials: never print
// it.
func (s Settings) RawURL() string { return s.rawURL }

// Declared returns the settings that the scheme declares.
func (s Settings) Declared() []Setting { return slices.Clone(s.declared) }

// LookupEnv looks up an environment variable that a setting of the kind [Env]
// names.
func (s Settings) LookupEnv(name string) (value string, ok bool) { return s.lookupEnv(name) }

// parseSettings validates the query of u against the declared settings.
func parseSettings(u *url.URL, declared []Setting) (Settings, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Settings{}, fairlead.Errorf(fairlead.Invalid, "the settings in the URL cannot be read; escape reserved characters as %%XX")
	}
	s := Settings{declared: declared, values: map[string]string{}}
	if err := s.checkNames(u.RawQuery); err != nil {
		return Settings{}, err
	}
	for name, given := range query {
		if err := s.set(name, given); err != nil {
			return Settings{}, err
		}
	}
	bare := *u
	bare.RawQuery = ""
	s.URL = &bare
	return s, nil
}

// checkNames refuses the first setting that is not declared. It does not name one
// without a value: it may be the rest of a value with a "&" in it.
func (s *Settings) checkNames(query string) error {
	for i, pair := range strings.Split(query, "&") {
		name, _, hasValue := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name) // it was parsed before
		switch {
		case pair == "" || s.index(name) >= 0:
		case hasValue:
			return fairlead.Errorf(fairlead.Invalid, "unknown setting %q; accepted: %s", name, accepted(s.declared))
		default:
			return fairlead.Errorf(fairlead.Invalid, "setting %d in the URL is unknown and has no \"=\"; escape \"&\" in a value as %%26; accepted: %s", i+1, accepted(s.declared))
		}
	}
	return nil
}

// index returns the index of a declared setting, or -1.
func (s *Settings) index(name string) int {
	return slices.IndexFunc(s.declared, func(d Setting) bool { return d.Name == name })
}

func (s *Settings) set(name string, given []string) error {
	if len(given) > 1 {
		return fairlead.Errorf(fairlead.Invalid, "setting %q is given %d times; give it once", name, len(given))
	}
	if err := s.declared[s.index(name)].check(given[0]); err != nil {
		return err
	}
	s.values[name] = given[0]
	return nil
}

func accepted(declared []Setting) string {
	if len(declared) == 0 {
		return "none"
	}
	names := make([]string, len(declared))
	for i, d := range declared {
		names[i] = d.Name
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// check does not repeat the value of a file or an environment variable: it may be
// the secret itself, given by mistake.
func (d Setting) check(value string) error {
	var err error
	switch d.Kind {
	case Bool:
		_, err = strconv.ParseBool(value)
	case Int:
		err = d.checkRange(strconv.ParseInt(value, 10, 64))
	case Duration:
		parsed, parseErr := time.ParseDuration(value)
		err = d.checkRange(int64(parsed), parseErr)
	case Enum:
		if !slices.Contains(d.Values, value) {
			err = fmt.Errorf("accepted: %s", strings.Join(d.Values, ", "))
		}
	case File:
		_, err := readFile(d.Name, value)
		return err
	}
	if err != nil {
		return fairlead.Errorf(fairlead.Invalid, "setting %q has the value %q, which is not %s: %w", d.Name, value, d.article(), err)
	}
	return nil
}

func (d Setting) checkRange(n int64, err error) error {
	switch {
	case err != nil:
		return withoutValue(err)
	case n < d.Min:
		return fmt.Errorf("the least is %s", d.format(d.Min))
	case d.Max > 0 && n > d.Max:
		return fmt.Errorf("the greatest is %s", d.format(d.Max))
	}
	return nil
}

func (d Setting) format(n int64) string {
	if d.Kind == Duration {
		return time.Duration(n).String()
	}
	return strconv.FormatInt(n, 10)
}

func (d Setting) article() string {
	switch d.Kind {
	case Bool:
		return "true or false"
	case Int:
		return "a whole number in range"
	case Duration:
		return "a duration in range, as 1500ms or 2s"
	default:
		return "an accepted value"
	}
}

// withoutValue returns the cause in an error of strconv, which repeats the value.
func withoutValue(err error) error {
	var number *strconv.NumError
	if errors.As(err, &number) {
		return number.Err
	}
	return err
}

// withoutPath returns the cause in an error of package os, which repeats the path. An
// error that names what exists there keeps it.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// readFile returns the content of the file that a setting names.
func readFile(setting, path string) ([]byte, error) {
	b, err := regularfile.Read(path, regularfile.MaxCredential)
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "setting %q names a file that cannot be read: %w", setting, withoutPath(err))
	}
	return b, nil
}

// String returns the value of a setting, or its default. It panics, as the
// methods below do, if the scheme does not declare the setting.
func (s Settings) String(name string) string {
	if v, ok := s.values[name]; ok {
		return v
	}
	i := s.index(name)
	if i < 0 {
		panic(fmt.Sprintf("providers: setting %q is not declared by the scheme", name))
	}
	return s.declared[i].Default
}

// Given reports whether the URL sets the setting.
func (s Settings) Given(name string) bool { _, ok := s.values[name]; return ok }

// Bool returns the value of a setting of kind [Bool].
func (s Settings) Bool(name string) bool {
	b, _ := strconv.ParseBool(s.String(name))
	return b
}

// Int returns the value of a setting of kind [Int].
func (s Settings) Int(name string) int {
	n, _ := strconv.Atoi(s.String(name))
	return n
}

// Duration returns the value of a setting of kind [Duration].
func (s Settings) Duration(name string) time.Duration {
	d, _ := time.ParseDuration(s.String(name))
	return d
}
