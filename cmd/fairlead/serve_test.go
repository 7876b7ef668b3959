package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"fairlead.dev/internal/dev/check"
)

// TestHTML writes the page, and refuses two reports in one file.
func TestHTML(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	if code, stdout, stderr := runCommand(t, "conformance", "mem://", "--run", "^kv/put-get$", "--html", file); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if text := string(read(t, file)); !strings.Contains(text, "Conforms in what was run") || !strings.Contains(text, "fairlead conformance mem://") {
		t.Errorf("the page: %.500s", text)
	}
	if code, _, stderr := runCommand(t, "conformance", "mem://", "--json", file, "--html", file); code != exitUsage || !strings.Contains(stderr, "give different files") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// pageReader gets the page when the run has ended, and then ends the command.
type pageReader struct {
	t      *testing.T
	cancel context.CancelFunc
	url    string
	pages  []string
}

func (p *pageReader) Write(b []byte) (int, error) {
	line := string(b)
	if url, ok := strings.CutPrefix(line, "the page of the run: "); ok {
		p.url = strings.TrimSpace(url)
	}
	if strings.Contains(line, "kv/put-get") || strings.Contains(line, "until Ctrl-C") {
		p.pages = append(p.pages, get(p.t, p.url))
	}
	if strings.Contains(line, "until Ctrl-C") {
		p.cancel()
	}
	return len(b), nil
}

func get(t *testing.T, url string) string {
	res, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	check.NoError(t, err)
	return string(b)
}

// TestServe gets the page while a run goes on, and after it.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &pageReader{t: t, cancel: cancel}
	if code := run(ctx, []string{"conformance", "mem://", "--run", "^kv/put-get$", "--serve", "127.0.0.1:0"}, out, io.Discard); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if len(out.pages) < 2 || !strings.Contains(out.pages[0], "The run goes on") || !strings.Contains(out.pages[len(out.pages)-1], "Conforms in what was run") {
		t.Errorf("%d pages", len(out.pages))
	}
	for _, address := range []string{"8080", ":8080", "127.0.0.1:x"} {
		if code, _, stderr := runCommand(t, "conformance", "mem://", "--serve", address); code == exitOK || !strings.Contains(stderr, "--serve") {
			t.Errorf("--serve %s: exit code %d: %s", address, code, stderr)
		}
	}
}
