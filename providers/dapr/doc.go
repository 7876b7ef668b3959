// Package dapr offers what a Dapr sidecar offers: the kv facet on its state API
// and the config facet on its configuration API.
//
//	dapr://127.0.0.1:50001                     the sidecar's gRPC port
//	dapr://127.0.0.1:50001?state=orders        one of several state stores
//	daprs://sidecar.example.org?ca-file=ca.pem TLS
//
// [providers.As] knows *grpc.ClientConn, the connection to the sidecar, and
// runtimev1.DaprClient of github.com/dapr/dapr/pkg/proto/runtime/v1.
package dapr
