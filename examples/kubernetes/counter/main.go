// Command counter counts its requests in a store. It does not know whose the
// store is, and it demands that what it was told is counted is not lost.
//
//	counter --url sidecar+unix:///run/fairlead/redis.sock --listen :8080
//
//	POST /       counts, and answers with the count
//	GET  /       answers with the count
//	GET  /readyz answers 200 while the store takes writes as demanded
//	GET  /livez  answers 200
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
		slog.Error("counter ends", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then finishes the requests under way.
func run(ctx context.Context, url, listen string) error {
	p, err := fairlead.Open(ctx, url)
	if err != nil {
		return err
	}
	defer p.Close(context.WithoutCancel(ctx))
	store, err := kv.Open(ctx, p, "counter", kv.Require(kv.CAS, fairlead.DurableFsync))
	if err != nil {
		return err
	}
	defer store.Close(context.WithoutCancel(ctx))
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
	mux.HandleFunc("POST /{$}", answer(c.add))
	mux.HandleFunc("GET /{$}", answer(c.count))
	mux.HandleFunc("GET /readyz", answer(c.count))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
}

// answer writes what f returns, or why it cannot.
func answer(f func(context.Context) (int, error)) http.HandlerFunc {
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

// count returns the count.
func (c counter) count(ctx context.Context) (int, error) {
	n, _, err := c.read(ctx)
	return n, err
}

func (c counter) read(ctx context.Context) (int, kv.Revision, error) {
	e, err := c.store.Get(ctx, key)
	if errors.Is(err, fairlead.NotFound) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	n, err := strconv.Atoi(string(e.Value))
	return n, e.Revision, err
}

// add counts one more. It begins anew when another one was quicker. When
// nobody knows whether the write was applied, the caller has to.
func (c counter) add(ctx context.Context) (int, error) {
	for {
		n, rev, err := c.read(ctx)
		if err != nil {
			return 0, err
		}
		next := []byte(strconv.Itoa(n + 1))
		if rev == "" {
			_, err = c.store.Create(ctx, key, next)
		} else {
			_, err = c.store.CAS(ctx, key, next, rev)
		}
		if !errors.Is(err, fairlead.Conflict) {
			return n + 1, err
		}
	}
}
