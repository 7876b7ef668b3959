package main

import (
	"regexp"
	"strings"
	"testing"

	"fairlead.dev/internal/dev/testbed"
)

// TestOperatorCommands runs the cases about other programs with the commands of
// the help text.
func TestOperatorCommands(t *testing.T) {
	server := testbed.Redis(t)
	help := newConformanceCommand().Long
	args := []string{"conformance", server.URL(), "--run", "/(purged|foreign)-"}
	for _, flag := range []string{"--purge-command", "--insert-command", "--replace-command"} {
		found := regexp.MustCompile(flag + ` '([^']*)'`).FindStringSubmatch(help)
		if found == nil {
			t.Fatalf("the help text has no %s", flag)
		}
		args = append(args, flag, strings.Replace(found[1], "redis-cli", "redis-cli -e -u "+server.URL(), 1))
	}
	code, stdout, stderr := runCommand(t, args...)
	if code != exitOK || strings.Count(stdout, "ok   ") != 8 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// TestOperatorCommandsWithoutEffect: cases whose commands change nothing could not
// run.
func TestOperatorCommandsWithoutEffect(t *testing.T) {
	code, stdout, stderr := runCommand(t, "conformance", testbed.Redis(t).URL(), "--run", "kv/foreign-|pubsub/purged-group|pubsub/foreign-group",
		"--purge-command", "true", "--insert-command", "true", "--replace-command", "true")
	if code != exitUndecided || !strings.Contains(stdout, "changed nothing") || !strings.Contains(stdout, "inserting an entry") || !strings.Contains(stdout, "removed nothing") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}
