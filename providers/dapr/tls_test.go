package dapr_test

import (
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/url"
	"sync"
	"testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

// TestTLS opens a sidecar through a proxy that speaks TLS, because a sidecar does
// not speak it.
func TestTLS(t *testing.T) {
	certs, err := testbed.NewCertificates(t.TempDir())
	check.NoError(t, err)
	addr := terminateTLS(t, certs, testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprToken("s3cret")).Addr())
	q := url.Values{"ca-file": {certs.CA}, "startup-timeout": {"2s"}}
	s := openStore(t, open(t, "daprs://:s3cret@"+addr+"?"+q.Encode()), "s")
	put(t, s, "k", "1")
	for name, change := range map[string]func(url.Values){
		"unknown authority": func(q url.Values) { q.Del("ca-file") },
		"another name":      func(q url.Values) { q.Set("server-name", "example.org") },
	} {
		t.Run(name, func(t *testing.T) {
			bad := maps.Clone(q)
			change(bad)
			bad.Set("startup-timeout", "300ms")
			_, err := fairlead.Open(t.Context(), "daprs://:s3cret@"+addr+"?"+bad.Encode())
			check.Code(t, err, fairlead.Unavailable)
		})
	}
}

// terminateTLS starts a proxy that accepts TLS and forwards the plain bytes to
// target. It returns the proxy's address.
func terminateTLS(t *testing.T, certs *testbed.Certificates, target string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certs.ServerCert, certs.ServerKey)
	check.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	check.NoError(t, err)
	var tasks sync.WaitGroup
	t.Cleanup(tasks.Wait)
	t.Cleanup(func() { check.NoError(t, l.Close()) })
	tasks.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() { forward(client, target) })
		}
	})
	return l.Addr().String()
}

func forward(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
	client.Close()
	<-done
}
