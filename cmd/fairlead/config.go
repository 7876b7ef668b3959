package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"fairlead.dev"
	"fairlead.dev/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Read, change, watch, compare and explain shared settings",
		Long: `Settings are keys with values under a name. A program reads them with
config.From(provider, NAME).

The value of a key that is named like a secret (password, passphrase, pass, token,
secret, credential, api key, private key, dsn and the like) is printed as ` + config.Redacted + `,
and so are passwords in values (of URLs, password=…, members of JSON objects), unless
--reveal is given.`,
		Args:        requireSubcommand,
		RunE:        func(*cobra.Command, []string) error { return nil },
		Annotations: commandGroup,
	}
	cmd.AddCommand(newConfigGet(), newConfigSet(), newConfigWatch(), newConfigDiff(), newConfigExplain())
	return cmd
}

// settingsFlags are the flags that all commands on settings have.
type settingsFlags struct {
	name   string
	reveal bool
	json   bool
}

// addSettingsFlags adds the flags to a command.
func addSettingsFlags(cmd *cobra.Command, f *settingsFlags) *cobra.Command {
	cmd.Flags().StringVarP(&f.name, "name", "n", "", "the name of the settings on a backend; a file and the environment have none")
	cmd.Flags().BoolVar(&f.reveal, "reveal", false, "show secret values")
	return addJSONFlag(cmd, &f.json)
}

// requireURLFirst is for a command whose first argument is a URL.
func requireURLFirst(cmd *cobra.Command, args []string) error {
	if len(args) >= 1 {
		return nil
	}
	return fmt.Errorf("%q takes a URL; for example: %s", cmd.CommandPath(), firstExample(cmd))
}

// isLayer reports whether a URL names a file or the environment, not a backend.
func isLayer(url string) bool {
	return strings.HasPrefix(url, "file:") || strings.HasPrefix(url, "env:")
}

// checkNames checks that there is a name if one of the URLs names a backend.
func (f settingsFlags) checkNames(cmd *cobra.Command, urls ...string) error {
	onBackend := func(url string) bool { return strings.Contains(url, "://") && !isLayer(url) }
	if f.name != "" || !slices.ContainsFunc(urls, onBackend) {
		return nil
	}
	return fmt.Errorf("%q needs --name NAME, the name of the settings on the backend; for example: %s", cmd.CommandPath(), firstExample(cmd))
}

// firstExample returns the first example of a command.
func firstExample(cmd *cobra.Command) string {
	example, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return example
}

// withSource calls use with the settings at the URL of a backend.
func (f settingsFlags) withSource(cmd *cobra.Command, url string, use func(*config.Source) error) error {
	if isLayer(url) {
		return fmt.Errorf("%q needs the URL of a backend; \"fairlead config get\" and \"fairlead config explain\" also read the URLs file:PATH and env:PREFIX", cmd.CommandPath())
	}
	if err := f.checkNames(cmd, url); err != nil {
		return err
	}
	ctx := cmd.Context()
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return classifyError(err)
	}
	defer p.Close(context.WithoutCancel(ctx))
	s, err := config.Open(ctx, p, f.name)
	if err != nil {
		return classifyError(err)
	}
	defer s.Close(context.WithoutCancel(ctx))
	return classifyError(use(s))
}

// setting is one key in the form in which it is printed.
type setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`            // Redacted for a secret
	Base64  bool   `json:"base64,omitempty"` // the value is not text, and is encoded in base64
	Version string `json:"version,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
}

// shown returns a value, with its secrets redacted unless the user has asked for
// them.
func (f settingsFlags) shown(key, value string) string {
	if f.reveal {
		return value
	}
	return config.RedactValue(key, value)
}

func (f settingsFlags) setting(key string, v config.Value) setting {
	s := setting{Key: key, Value: f.shown(key, string(v.Data)), Version: versionText(v.Version)}
	switch {
	case s.Value != string(v.Data):
	case !utf8.Valid(v.Data):
		s.Value, s.Base64 = base64.StdEncoding.EncodeToString(v.Data), true
	}
	return s
}

// settings returns the settings with the given keys, or all if keys is empty, in
// order.
func (f settingsFlags) settings(state config.State, keys []string) ([]setting, error) {
	if len(keys) == 0 {
		for key := range state.Values {
			keys = append(keys, key)
		}
		slices.Sort(keys)
	}
	all := []setting{}
	for _, key := range keys {
		v, ok := state.Values[key]
		if !ok {
			return nil, fairlead.Errorf(fairlead.NotFound, "there is no setting %q under %q; without a KEY the command prints all settings", key, f.name)
		}
		all = append(all, f.setting(key, v))
	}
	return all, nil
}

// text returns the value for a person: quoted if it is empty or has characters
// that cannot be printed.
func (s setting) text() string {
	for _, r := range s.Value {
		if !strconv.IsPrint(r) {
			return strconv.Quote(s.Value)
		}
	}
	if s.Value == "" {
		return `""`
	}
	return s.Value
}

// versionText encodes a version, which may be any bytes, as an argument of a
// command.
func versionText(version string) string { return url.QueryEscape(version) }

func parseVersion(text string) (string, error) { return url.QueryUnescape(text) }
