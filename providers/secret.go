package providers

import (
	"strings"

	"fairlead.dev"
)

// SecretSettings returns the settings from which [Settings.Secret] reads. what
// describes the secret in the help.
func SecretSettings(name, what string) []Setting {
	return []Setting{
		{Name: name + "-env", Kind: Env, Help: "environment variable that holds " + what},
		{Name: name + "-file", Kind: File, Help: "file that holds " + what + "; one trailing newline is ignored"},
	}
}

// PasswordSettings returns the settings from which [Settings.Password] reads.
func PasswordSettings() []Setting { return SecretSettings("password", "the password") }

// Password returns the password in the URL's user part, or the one that
// [Settings.Secret] finds, and "" if there is none. More than one is Invalid.
func (s Settings) Password() (string, error) {
	if s.URL.User != nil {
		if inURL, ok := s.URL.User.Password(); ok {
			if s.Given("password-env") || s.Given("password-file") {
				return "", fairlead.Errorf(fairlead.Invalid, "the password is given in more than one way; give it in the URL, in password-env or in password-file")
			}
			return inURL, nil
		}
	}
	return s.Secret("password")
}

// Secret returns the content of the environment variable or of the file that the
// [SecretSettings] of that name give, and "" if they give none. It is Invalid to
// give both, an unset variable or an empty file. The errors repeat neither name: it
// may be the secret itself, given by mistake.
func (s Settings) Secret(name string) (string, error) {
	env, file := s.String(name+"-env"), s.String(name+"-file")
	switch {
	case env != "" && file != "":
		return "", fairlead.Errorf(fairlead.Invalid, "\"%s-env\" and \"%s-file\" are both given; give one", name, name)
	case env != "":
		v, _ := s.lookupEnv(env)
		if v == "" {
			return "", fairlead.Errorf(fairlead.Invalid, "setting \"%s-env\" names an environment variable that is not set, or empty", name)
		}
		return v, nil
	case file != "":
		return secretFile(name, file)
	}
	return "", nil
}

func secretFile(name, file string) (string, error) {
	b, err := readFile(name+"-file", file)
	if err != nil {
		return "", err
	}
	v := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if v == "" {
		return "", fairlead.Errorf(fairlead.Invalid, "setting \"%s-file\" names a file that is empty", name)
	}
	return v, nil
}

// Hidden holds a secret of an open provider: its settings keep the password as a Hidden.
// It is a function, so that no verb of package fmt shows the secret, at any depth of the
// value that is printed. Nil holds the empty text.
type Hidden func() string

// Hide returns a Hidden that holds the text.
func Hide(text string) Hidden {
	if text == "" {
		return nil
	}
	return func() string { return text }
}

// Reveal returns the secret, for the client of the backend. Never print it.
func (h Hidden) Reveal() string {
	if h == nil {
		return ""
	}
	return h()
}

// String implements [fmt.Stringer].
func (h Hidden) String() string {
	if h == nil {
		return ""
	}
	return "(hidden)"
}
