package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/config"
)

// app is the service.
type app struct {
	opened   fairlead.Closers
	origin   origin
	watcher  *config.Watcher[settings]
	applying sync.Mutex
	limiter  limiter
	log      *slog.Logger
}

// newApp reads the settings and follows their changes: it sets level and limiter at
// once and after each change.
func newApp(ctx context.Context, url string, log *slog.Logger, level *slog.LevelVar) (*app, error) {
	a := &app{log: log}
	if err := a.start(ctx, url, level); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *app) start(ctx context.Context, url string, level *slog.LevelVar) (err error) {
	if a.origin, err = openOrigin(ctx, url, &a.opened); err != nil {
		return err
	}
	a.watcher, err = config.Watch[settings](ctx, a.origin.layer, config.OnError(func(err error) {
		a.log.Error("cannot update the settings; the last good ones stay", "error", err)
	}))
	if err != nil {
		return err
	}
	a.opened.Add(a.watcher)
	// The call of apply after OnChange sees a change that came before it.
	a.watcher.OnChange(func(_, _ *settings) { a.apply(level) })
	a.apply(level)
	return nil
}

// apply applies the present settings. Of two concurrent calls, the later one sees
// the later settings.
func (a *app) apply(level *slog.LevelVar) {
	a.applying.Lock()
	defer a.applying.Unlock()
	now := a.watcher.Get()
	level.Set(now.LogLevel)
	a.limiter.set(now.Limits.Rate)
	a.log.Info("settings", "now", config.Redact(now))
}

func (a *app) close() error { return a.opened.CloseWithin(5 * time.Second) }

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.hello)
	mux.HandleFunc("GET /settings", a.show)
	mux.HandleFunc("PUT /settings/{key...}", a.change)
	return mux
}

func (a *app) hello(w http.ResponseWriter, r *http.Request) {
	if !a.limiter.allow() {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	a.log.Debug("request", "from", r.RemoteAddr)
	fmt.Fprintln(w, "hello")
}

// show lists the present settings, where each comes from, and what is wrong.
func (a *app) show(w http.ResponseWriter, _ *http.Request) {
	all, err := a.watcher.Explain("")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, e := range all {
		fmt.Fprintln(w, e)
	}
	if err := a.watcher.Err(); err != nil {
		fmt.Fprintln(w, "wrong:", err)
	}
}

// change sets one setting for every program that shares it. Each program
// validates it.
func (a *app) change(w http.ResponseWriter, r *http.Request) {
	token := a.watcher.Get().APIToken
	if token != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
		http.Error(w, "changing a setting requires the header \"Authorization: Bearer\" with the api-token", http.StatusUnauthorized)
		return
	}
	if a.origin.shared == nil {
		http.Error(w, "the settings are in a file; edit the file to change them", http.StatusMethodNotAllowed)
		return
	}
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err == nil {
		_, err = a.origin.shared.Set(r.Context(), config.Put(r.PathValue("key"), value))
	}
	if err != nil {
		http.Error(w, err.Error(), statusOf(err))
	}
}

func statusOf(err error) int {
	switch fairlead.CodeOf(err) {
	case fairlead.Invalid, fairlead.TooLarge:
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}
