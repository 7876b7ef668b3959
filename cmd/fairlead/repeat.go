package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"fairlead.dev/config"
	"fairlead.dev/conformance"
)

// onceFlags are the flags of a run that do not belong to the command that repeats one
// of its cases: they select cases, or write reports.
var onceFlags = []string{"run", "facet", "json", "junit", "known"}

// repeatCommand returns the command that repeats one case as the run with these flags ran
// it. Passwords in it are redacted.
func repeatCommand(flags *pflag.FlagSet, url string, r conformance.Result) string {
	words := []string{"fairlead", "conformance", shellWord(config.RedactValue("", url)), "--run", shellWord("^" + regexp.QuoteMeta(r.Case) + "$")}
	flags.Visit(func(f *pflag.Flag) {
		switch {
		case slices.Contains(onceFlags, f.Name):
		case f.Value.Type() == "bool":
			words = append(words, "--"+f.Name+"="+f.Value.String())
		default:
			words = append(words, "--"+f.Name, shellWord(config.RedactValue("", f.Value.String())))
		}
	})
	return strings.Join(words, " ")
}

// plainWord matches what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord returns a text as one word of a shell.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
