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
var onceFlags = []string{"run", "facet", "json", "junit", "html", "badge", "serve", "known"}

// repeatCommand returns the command that repeats one case as the run with these flags ran
// it. Passwords in it are redacted.
func repeatCommand(flags *pflag.FlagSet, url string, r conformance.Result) string {
	words := []string{"--run", shellWord("^" + regexp.QuoteMeta(r.Case) + "$")}
	return commandLine(flags, url, words, onceFlags)
}

// runCommandLine returns the command of the run. Passwords in it are redacted.
func runCommandLine(flags *pflag.FlagSet, url string) string {
	return commandLine(flags, url, nil, nil)
}

// commandLine returns a command with these words, and the flags that were given, but for
// those that are left out.
func commandLine(flags *pflag.FlagSet, url string, words, leftOut []string) string {
	words = append([]string{"fairlead", "conformance", shellWord(config.RedactValue("", url))}, words...)
	flags.Visit(func(f *pflag.Flag) {
		switch {
		case slices.Contains(leftOut, f.Name):
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
