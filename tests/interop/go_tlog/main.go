// Command go_tlog reads a log as golang.org/x/mod/sumdb has it, note and tlog, which know nothing of Seedkeep.
//
//	go_tlog URL VKEY OLD FOLDER
//
// URL is where the checkpoint lies, OLD the file of an earlier checkpoint, FOLDER has log proofs NAME.tlog-proof,
// each with its entry in NAME.leaf. Checked are the signed checkpoint, every tile against it, every entry
// of every bundle and its inclusion, that the log began with OLD, and the proofs.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(url string) []byte {
	answer, err := http.Get(url)
	must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(err)
	if answer.StatusCode != 200 {
		must(fmt.Errorf("%s: %s", url, answer.Status))
	}
	return body
}

// open checks the signature of a checkpoint and reads it.
func open(text []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		must(fmt.Errorf("the origin is %q", lines[0]))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	return tlog.Tree{N: size, Hash: hash(lines[2])}
}

func hash(text string) (found tlog.Hash) {
	raw, err := base64.StdEncoding.DecodeString(text)
	must(err)
	copy(found[:], raw)
	return found
}

// path is where C2SP tlog-tiles has a tile: without the height.
func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

type site string

func (s site) Height() int { return 8 }

func (s site) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data[i] = get(string(s) + "/" + path(tile))
	}
	return data, nil
}

func (s site) SaveTiles([]tlog.Tile, [][]byte) {}

// kept remembers the hashes that were read, which the reader below has checked.
type kept struct {
	reader tlog.HashReader
	known  map[int64]tlog.Hash
}

func (k kept) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var lacking []int64
	for _, index := range indexes {
		if _, there := k.known[index]; !there {
			lacking = append(lacking, index)
		}
	}
	if len(lacking) > 0 {
		read, err := k.reader.ReadHashes(lacking)
		if err != nil {
			return nil, err
		}
		for i, index := range lacking {
			k.known[index] = read[i]
		}
	}
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = k.known[index]
	}
	return found, nil
}

func main() {
	url, old, folder := os.Args[1], os.Args[3], os.Args[4]
	verifier, err := note.NewVerifier(os.Args[2])
	must(err)
	tree := open(get(url+"/checkpoint"), verifier)
	hashes := kept{tlog.TileHashReader(tree, site(url)), map[int64]tlog.Hash{}}

	for first := int64(0); first < tree.N; first += 256 {
		width := int(tree.N - first)
		if width > 256 {
			width = 256
		}
		bundle := tlog.Tile{H: 8, L: 0, N: first / 256, W: width}
		data := get(url + "/" + strings.Replace(path(bundle), "tile/0/", "tile/entries/", 1))
		var indexes []int64
		for i := int64(0); i < int64(width); i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+i))
		}
		_, err := hashes.ReadHashes(indexes)
		must(err)
		for i := int64(0); i < int64(width); i++ {
			size := binary.BigEndian.Uint16(data)
			entry := data[2 : 2+int(size)]
			data = data[2+int(size):]
			proof, err := tlog.ProveRecord(tree.N, first+i, hashes)
			must(err)
			must(tlog.CheckRecord(proof, tree.N, tree.Hash, first+i, tlog.RecordHash(entry)))
		}
		if len(data) > 0 {
			must(fmt.Errorf("bundle %d is too long", first/256))
		}
	}

	text, err := os.ReadFile(old)
	must(err)
	before := open(text, verifier)
	growth, err := tlog.ProveTree(tree.N, before.N, hashes)
	must(err)
	must(tlog.CheckTree(growth, tree.N, tree.Hash, before.N, before.Hash))

	proofs, err := filepath.Glob(filepath.Join(folder, "*.tlog-proof"))
	must(err)
	for _, name := range proofs {
		text, err := os.ReadFile(name)
		must(err)
		leaf, err := os.ReadFile(strings.TrimSuffix(name, ".tlog-proof") + ".leaf")
		must(err)
		head, signed, _ := strings.Cut(string(text), "\n\n")
		lines := strings.Split(head, "\n")
		if lines[0] != "c2sp.org/tlog-proof@v1" {
			must(fmt.Errorf("%s is no log proof", name))
		}
		index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
		must(err)
		var proof tlog.RecordProof
		for _, line := range lines[2:] {
			proof = append(proof, hash(line))
		}
		then := open([]byte(signed), verifier)
		must(tlog.CheckRecord(proof, then.N, then.Hash, index, tlog.RecordHash(leaf)))
	}
	fmt.Println(tree.N, before.N, len(proofs))
}
