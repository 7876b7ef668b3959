package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"fairlead.dev/internal/dev/testbed"
)

// ciScripts returns the scripts of docs/ci.md that run the suite, by the job's system.
func ciScripts(t *testing.T) map[string]string {
	t.Helper()
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(read(t, "../../docs/ci.md"), -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/ci.md has %d blocks of YAML, want 2", len(blocks))
	}
	var github struct {
		Jobs map[string]struct {
			Services map[string]any
			Env      map[string]string
			Steps    []struct{ Name, Run string }
		}
	}
	var gitlab map[string]struct {
		Services  []map[string]string
		Variables map[string]string
		Script    []string
	}
	if err := errors.Join(yaml.Unmarshal(blocks[0][1], &github), yaml.Unmarshal(blocks[1][1], &gitlab)); err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{"gitlab": strings.Join(gitlab["conformance"].Script, "\n")}
	for _, step := range github.Jobs["redis"].Steps {
		if step.Name == "conformance" {
			scripts["github"] = step.Run
		}
	}
	if github.Jobs["redis"].Services["redis"] == nil || len(gitlab["conformance"].Services) != 1 ||
		github.Jobs["redis"].Env["FAIRLEAD_URL"] == "" || gitlab["conformance"].Variables["FAIRLEAD_URL"] == "" {
		t.Error("a job has no service, or no URL of it")
	}
	return scripts
}

// TestCIScripts runs the scripts of docs/ci.md as the CI systems do. In place of the
// binary that the jobs build, this test's own binary runs one case.
func TestCIScripts(t *testing.T) {
	server := testbed.Redis(t)
	for system, script := range ciScripts(t) {
		for _, c := range []struct {
			url     string
			code    int
			reports bool
		}{{server.URL(), exitOK, true}, {"broken://", exitFailure, true}, {"redis://127.0.0.1:1", exitUndecided, false}, {"nosuch://", exitUsage, false}} {
			dir := t.TempDir()
			binary := filepath.Join(dir, "bin", "fairlead")
			stand := "#!/bin/sh\nexport " + commandVar + "=\"$* --run ^kv/put-get$\"\nexec '" + os.Args[0] + "'\n"
			if err := errors.Join(os.Mkdir(filepath.Dir(binary), 0o700), os.WriteFile(binary, []byte(stand), 0o700)); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", script)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "FAIRLEAD_URL="+c.url)
			out, err := cmd.CombinedOutput()
			code := 0
			if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
				code = ended.ExitCode()
			}
			if code != c.code {
				t.Errorf("%s, %s: exit code %d, want %d\n%s", system, c.url, code, c.code, out)
			}
			for file, begins := range map[string]string{"report.xml": "<testsuites", "report.json": "{"} {
				b, err := os.ReadFile(filepath.Join(dir, file))
				if (err == nil) != c.reports || !bytes.HasPrefix(b, []byte(begins)) && c.reports {
					t.Errorf("%s, %s: %s: %v, %.40q", system, c.url, file, err, b)
				}
			}
		}
	}
}
