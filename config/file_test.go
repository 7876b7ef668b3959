package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// A file of a ConfigMap in a volume is a link that leads through a second link to
// a folder; an update replaces the second link.
func TestWatchConfigMap(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, text string) {
		t.Helper()
		for _, err := range []error{
			os.Mkdir(filepath.Join(dir, version), 0o700),
			os.WriteFile(filepath.Join(dir, version, "app.yaml"), []byte(text), 0o600),
			os.Symlink(version, filepath.Join(dir, "..data_tmp")),
			os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	swap("..1", "left: 1\nright: 1")
	path := filepath.Join(dir, "app.yaml")
	if err := os.Symlink(filepath.Join("..data", "app.yaml"), path); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		reported := make(chan error, 10)
		w := watch[pair](t, config.File(path), config.OnError(func(err error) { reported <- err }))
		seen := make(chan pair, 10)
		w.OnChange(func(_, now *pair) { seen <- *now })
		swap("..2", "left: 2\nright: 2")
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, "a change", seen); got != (pair{2, 2, "none"}) {
			t.Errorf("got %+v", got)
		}
		swap("..3", "left: -1\nright: 3")
		if err := receive(t, "a report", reported); !errors.Is(err, fairlead.Invalid) || *w.Get() != (pair{2, 2, "none"}) {
			t.Errorf("a bad update: reported %v, holds %+v", err, *w.Get())
		}
		swap("..4", "left: 4\nright: 4")
		if got := receive(t, "a change", seen); got.Left != 4 || w.Err() != nil {
			t.Errorf("got %+v, %v", got, w.Err())
		}
	})
}

// A file that is written piece by piece is applied only when it is complete,
// whatever parts of it were read before.
func TestWatchHalfWrittenFile(t *testing.T) {
	path := file(t, "app.yaml", "left: 1\nright: 1")
	synctest.Test(t, func(t *testing.T) {
		w := watch[pair](t, config.File(path), config.OnError(func(err error) { t.Errorf("reported %v", err) }))
		changes := make(chan pair, 100)
		w.OnChange(func(_, now *pair) { changes <- *now })
		text := "left: 22222\nnote: " + strings.Repeat("x", 50) + "\nright: 22222"
		for end := range len(text) + 1 { // begins with the empty file
			if err := os.WriteFile(path, []byte(text[:end]), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(370 * time.Millisecond)
		}
		if got := receive(t, "a change", changes); got.Right != 22222 || len(changes) != 0 {
			t.Errorf("the first change was %+v, %d came after it", got, len(changes))
		}
	})
}

// writeSlowly writes an empty file, half of it, and all of it, with pauses that
// are shorter than the time between two looks.
func writeSlowly(t *testing.T, path, text string) {
	for _, part := range []string{"", text[:len(text)/2], text} {
		if err := os.WriteFile(path, []byte(part), 0o600); err != nil {
			t.Error(err)
		}
		time.Sleep(370 * time.Millisecond)
	}
}

// The first reading, too, uses only a file that two looks have seen.
func TestFirstReadingOfHalfWrittenFile(t *testing.T) {
	path := file(t, "app.yaml", "")
	synctest.Test(t, func(t *testing.T) {
		go writeSlowly(t, path, "left: 3\nright: 3")
		synctest.Wait() // the file is empty
		for name, read := range map[string]func() (pair, error){
			"Load":  func() (pair, error) { return config.Load[pair](t.Context(), config.File(path)) },
			"Watch": func() (pair, error) { return *watch[pair](t, config.File(path)).Get(), nil },
		} {
			if got, err := read(); err != nil || got != (pair{3, 3, "none"}) {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := config.Load[pair](ctx, config.File(path)); !errors.Is(err, fairlead.DeadlineExceeded) {
			t.Errorf("without time for two looks: got %v", err)
		}
	})
}

// A file that was not modified for a while is used after one look.
func TestFirstReadingOfSettledFile(t *testing.T) {
	path := file(t, "app.yaml", "left: 3\nright: 3")
	synctest.Test(t, func(t *testing.T) {
		before := time.Now()
		if err := os.Chtimes(path, time.Time{}, before.Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if got, err := config.Load[pair](t.Context(), config.File(path)); err != nil || got.Left != 3 {
			t.Errorf("got %+v, %v", got, err)
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("the reading waited for %v", took)
		}
	})
}

// A file that was away is applied only when it is complete again.
func TestWatchFileThatComesBack(t *testing.T) {
	for name, layer := range map[string]func(string) config.Layer{"File": config.File, "OptionalFile": config.OptionalFile} {
		t.Run(name, func(t *testing.T) {
			path := file(t, "app.yaml", "left: 1\nright: 1")
			synctest.Test(t, func(t *testing.T) {
				w := watch[pair](t, layer(path))
				changes := make(chan pair, 100)
				w.OnChange(func(_, now *pair) { changes <- *now })
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if name == "File" {
					eventually(t, "the report", func() bool { return w.Err() != nil }, func() any { return w.Health() })
				} else if got := receive(t, "a change", changes); got != (pair{0, 0, "none"}) {
					t.Errorf("without the file: %+v", got)
				}
				go writeSlowly(t, path, "left: 22222\nright: 22222")
				if got := receive(t, "a change", changes); got != (pair{22222, 22222, "none"}) {
					t.Errorf("the first change was %+v", got)
				}
			})
		})
	}
}

// A file that is away for less than two looks is not taken for an empty layer, also
// if it could not be read before.
func TestFileThatIsAwayForAMoment(t *testing.T) {
	path := file(t, "app.yaml", "left: 1\nright: 1")
	synctest.Test(t, func(t *testing.T) {
		w := watch[pair](t, config.OptionalFile(path))
		w.OnChange(func(_, now *pair) {
			if now.Left != 1 {
				t.Errorf("applied %+v", *now)
			}
		})
		health := func() any { return w.Health() }
		for i := range 20 {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the report", func() bool { return w.Err() != nil }, health)
			time.Sleep(time.Duration(i) * 50 * time.Millisecond)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
			note := fmt.Sprint(i)
			if err := os.WriteFile(path, []byte("left: 1\nright: 1\nnote: n"+note), 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the file", func() bool { return w.Err() == nil && w.Get().Note == "n"+note }, health)
		}
	})
}

// A file that is too long is refused, and a watcher keeps what it has.
func TestFileThatIsTooLong(t *testing.T) {
	path := file(t, "app.yaml", "left: 1\nright: 1")
	long := file(t, "long.yaml", "left: 2\nright: 2\n")
	if err := os.Truncate(long, 16<<20+1); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		_, err := config.Load[pair](t.Context(), config.File(long))
		wantCode(t, err, fairlead.Invalid)
		w := watch[pair](t, config.File(path))
		if err := os.Rename(long, path); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the report", func() bool { return w.Err() != nil }, func() any { return w.Health() })
		if err := w.Err(); !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), "more than 16777216 bytes") || w.Get().Left != 1 {
			t.Errorf("got %v, holds %+v", err, *w.Get())
		}
	})
}

// A file that cannot be read twice is refused, and does not block.
func TestFileThatIsNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load[pair](t.Context(), config.File(pipe))
	wantCode(t, err, fairlead.Unavailable)
	if !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestFromURL(t *testing.T) {
	path := file(t, "app.toml", "left = 4")
	t.Setenv("FLU_RIGHT", "5")
	for url, want := range map[string]pair{
		"file://" + path: {4, 0, "none"},
		"file:" + path:   {4, 0, "none"},
		"env:FLU_":       {0, 5, "none"},
		"mem://":         {0, 0, "none"},
	} {
		w := watch[pair](t, config.FromURL(url, "app"))
		if *w.Get() != want {
			t.Errorf("%s: got %+v", url, *w.Get())
		}
	}
	for url, word := range map[string]string{
		"": "file:app.yaml", "app.yaml": "redis://", "file:": "names no file", "file://app.yaml": "file:///etc",
		"file:app.ini": "accepted: .yaml", "nosuch://x": "unknown URL scheme",
	} {
		_, err := config.Load[pair](t.Context(), config.FromURL(url, "app"))
		if !errors.Is(err, fairlead.Invalid) || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: got %v", url, err)
		}
	}
	_, err := config.Load[pair](t.Context(), config.FromURL("mem://", "a/b"))
	wantCode(t, err, fairlead.Invalid)
}

// closing is a provider that reports when it is closed.
type closing struct {
	kvdriver.Provider
	closed chan<- bool
}

func (c closing) Close(ctx context.Context) error {
	c.closed <- true
	return c.Provider.Close(ctx)
}

// The provider that FromURL opened is closed with the watcher.
func TestFromURLClosesProvider(t *testing.T) {
	closed := make(chan bool, 1)
	providers.Register(providers.Scheme{Name: "counted", Open: func(ctx context.Context, _ providers.Settings) (fairlead.Provider, error) {
		p, err := fairlead.Open(ctx, "mem://")
		return closing{p.(kvdriver.Provider), closed}, err
	}})
	w, err := config.Watch[pair](t.Context(), config.FromURL("counted://", "app"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-closed
}
