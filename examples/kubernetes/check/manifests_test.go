package check

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const folder = ".."

// strict decodes into the types of Kubernetes. It refuses unknown and repeated
// fields, and values of a wrong type.
var strict = func() *json.Serializer {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
}()

// decode decodes the documents of a manifest.
func decode(manifest []byte) (objects []runtime.Object, err error) {
	for r := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest))); ; {
		document, err := r.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		o, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
}

// built decodes what "kubectl apply -k" sends.
func built(t *testing.T) []runtime.Object {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// the returns the only object of a type.
func the[T runtime.Object](t *testing.T) T {
	t.Helper()
	var found []T
	for _, o := range built(t) {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of the type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDecode reads the files themselves: the output of kustomize may hide their
// mistakes.
func TestDecode(t *testing.T) {
	total := 0
	for _, name := range []string{"redis.yaml", "app.yaml"} {
		objects, err := decode([]byte(read(t, name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		total += len(objects)
	}
	if n := len(built(t)); total != 6 || n != total {
		t.Errorf("the files have %d objects, kustomization.yaml %d; want 6", total, n)
	}
}

// TestDecodeRefuses makes typical mistakes in the manifests.
func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ file, good, bad, says string }{
		{"app.yaml", "restartPolicy: Always", "restartPolcy: Always", `unknown field "spec.template.spec.initContainers[0].restartPolcy"`},
		{"app.yaml", "replicas: 2", `replicas: "2"`, "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"},
		{"app.yaml", "  replicas: 2", "  replicas: 2\n  replicas: 3", `key "replicas" already set`},
		{"app.yaml", "emptyDir: {medium", "emptyDirs: {medium", `unknown field "spec.template.spec.volumes[0].emptyDirs"`},
		{"app.yaml", "apiVersion: apps/v1", "apiVersion: apps/v2", `no kind "Deployment" is registered for version "apps/v2"`},
		{"redis.yaml", "serviceName: redis", "serviceNames: redis", `unknown field "spec.serviceNames"`},
		{"redis.yaml", "storage: 10Gi", "storage: ten", "quantities must match"},
		{"redis.yaml", "kind: NetworkPolicy", "kind: NetworkRule", `no kind "NetworkRule"`},
	} {
		good := read(t, c.file)
		bad := strings.Replace(good, c.good, c.bad, 1)
		if bad == good {
			t.Errorf("%s has no %q any more", c.file, c.good)
		}
		if _, err := decode([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %q: %v; want an error that says %s", c.file, c.bad, err, c.says)
		}
	}
}
