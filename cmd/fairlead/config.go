package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"fairlead.dev"
	"fairlead.dev/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Read, change, follow, compare and explain shared settings",
		Long: `Settings are keys with values under a name: those that a program reads with
config.From(provider, NAME).

Values of keys whose names are those of secrets (password, token, secret,
credential, api key, private key) are shown as ` + config.Redacted + `, unless --reveal is given.`,
		Args: subcommand,
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newConfigGet(), newConfigSet(), newConfigWatch(), newConfigDiff(), newConfigExplain())
	return cmd
}

// settingsFlags are the flags of all commands on settings.
type settingsFlags struct {
	name   string
	reveal bool
	json   bool
}

// settingsCommand adds the flags to a command. Where each argument is a layer,
// a name is needed only for those of providers, which say so themselves.
func settingsCommand(cmd *cobra.Command, f *settingsFlags, nameNeeded bool) *cobra.Command {
	cmd.Flags().StringVarP(&f.name, "name", "n", "", "the name of the settings")
	cmd.Flags().BoolVar(&f.reveal, "reveal", false, "show secret values")
	if nameNeeded {
		_ = cmd.MarkFlagRequired("name")
	}
	return jsonFlag(cmd, &f.json)
}

// urlFirst is for a command whose first argument is a URL.
func urlFirst(cmd *cobra.Command, args []string) error {
	if len(args) >= 1 {
		return nil
	}
	return fmt.Errorf("%q takes a URL; for example: %s", cmd.CommandPath(), cmd.Example)
}

// withSource calls use with the settings at a URL.
func (f settingsFlags) withSource(ctx context.Context, url string, use func(*config.Source) error) error {
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return fail(err)
	}
	defer p.Close(context.WithoutCancel(ctx))
	s, err := config.Open(ctx, p, f.name)
	if err != nil {
		return fail(err)
	}
	defer s.Close(context.WithoutCancel(ctx))
	return fail(use(s))
}

// setting is one key as it is printed.
type setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`            // Redacted for a secret
	Base64  bool   `json:"base64,omitempty"` // the value is no text, and is written in base64
	Version string `json:"version,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
}

func (f settingsFlags) setting(key string, v config.Value) setting {
	s := setting{Key: key, Value: string(v.Data), Version: versionText(v.Version)}
	switch {
	case !f.reveal && config.SecretName(key):
		s.Value = config.Redacted
	case !utf8.Valid(v.Data):
		s.Value, s.Base64 = base64.StdEncoding.EncodeToString(v.Data), true
	}
	return s
}

// settings returns those of a state that are asked for, or all, in order.
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
			return nil, fairlead.Errorf(fairlead.NotFound, "there is no setting %q under %q", key, f.name)
		}
		all = append(all, f.setting(key, v))
	}
	return all, nil
}

// text returns a value for a person: quoted if it would not show.
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

// versionText returns a version, which may be any bytes, as an argument of a
// command.
func versionText(version string) string { return url.QueryEscape(version) }

func parseVersion(text string) (string, error) { return url.QueryUnescape(text) }
