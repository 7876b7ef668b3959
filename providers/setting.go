package providers

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
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
	File     Kind = "file"     // a path of a file that can be read
	Env      Kind = "env"      // the name of an environment variable that holds a secret
)

// Setting declares one query parameter of a provider's URL. It is data, so
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

// Settings is a validated URL. The Open of a [Scheme] gets it.
type Settings struct {
	URL    *url.URL // without its query; may hold credentials: never print it
	Logger *slog.Logger

	rawURL    string
	lookupEnv func(string) (string, bool)
	declared  []Setting
	values    map[string]string
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
		return Settings{}, fairlead.Errorf(fairlead.Invalid, "the query of the URL cannot be read; escape reserved characters as %%XX")
	}
	s := Settings{declared: declared, values: map[string]string{}}
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

func (s *Settings) set(name string, given []string) error {
	i := slices.IndexFunc(s.declared, func(d Setting) bool { return d.Name == name })
	if i < 0 {
		return fairlead.Errorf(fairlead.Invalid, "unknown parameter %q; accepted: %s", name, accepted(s.declared))
	}
	if len(given) > 1 {
		return fairlead.Errorf(fairlead.Invalid, "parameter %q is given %d times; give it once", name, len(given))
	}
	if err := s.declared[i].check(given[0]); err != nil {
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
		err = readable(value)
	}
	if err != nil {
		return fairlead.Errorf(fairlead.Invalid, "parameter %q has the value %q, which is not %s: %w", d.Name, value, d.article(), err)
	}
	return nil
}

func (d Setting) checkRange(n int64, err error) error {
	switch {
	case err != nil:
		return err
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
	case Enum:
		return "an accepted value"
	default:
		return "a readable file"
	}
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// String returns the value of a setting, or its default. It panics, as the
// methods below do, if the scheme does not declare the setting.
func (s Settings) String(name string) string {
	if v, ok := s.values[name]; ok {
		return v
	}
	i := slices.IndexFunc(s.declared, func(d Setting) bool { return d.Name == name })
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
