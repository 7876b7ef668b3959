// Command counter counts its requests in a store. It works with any backend that
// keeps acknowledged counts durably.
//
//	counter --url sidecar+unix:///run/fairlead/redis.sock --listen :8080
//
//	POST /       increments the count and returns it
//	GET  /       returns the count
//	GET  /readyz returns 200 while the store serves with the required claims
//	GET  /livez  returns 200
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	_ "fairlead.dev/plugins/auto"
)

func main() {
	url := flag.String("url", "sidecar+unix:///run/fairlead/redis.sock", "`URL` of the backend")
	listen := flag.String("listen", ":8080", "`address` to serve HTTP at")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *url, *listen); err != nil {
		slog.Error("counter failed", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then finishes the requests in progress.
func run(ctx context.Context, url, listen string) (err error) {
	var opened fairlead.Closers
	defer func() { err = errors.Join(err, opened.CloseWithin(10*time.Second)) }()
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return err
	}
	opened.Add(p)
	store, err := kv.Open(ctx, p, "counter", kv.Require(kv.CAS, fairlead.DurableFsync))
	if err != nil {
		return err
	}
	opened.Add(store)
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	slog.Info("counter serves", "address", l.Addr().String())
	return serve(ctx, l, counter{store}.handler())
}

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return server.Shutdown(ctx)
	}
}

type counter struct{ store *kv.Store }

func (c counter) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", handleCount(c.increment))
	mux.HandleFunc("GET /{$}", handleCount(c.readCount))
	mux.HandleFunc("GET /readyz", handleCount(c.readCount))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
}

// handleCount returns a handler that writes the count which f returns, or its error.
func handleCount(f func(context.Context) (int, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		n, err := f(ctx)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(strconv.Itoa(n) + "\n"))
	}
}

const key = "requests"

// readCount returns 0 before the first increment.
func (c counter) readCount(ctx context.Context) (int, error) {
	e, err := c.store.Get(ctx, key)
	if errors.Is(err, fairlead.NotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(e.Value))
}

// increment adds one to the count, and returns it. If the outcome of the write is
// unknown, it returns that error to the caller.
func (c counter) increment(ctx context.Context) (int, error) {
	e, err := c.store.Update(ctx, key, func(before kv.Entry) ([]byte, error) {
		if !before.Exists() {
			return []byte("1"), nil
		}
		n, err := strconv.Atoi(string(before.Value))
		return []byte(strconv.Itoa(n + 1)), err
	})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(e.Value))
}
