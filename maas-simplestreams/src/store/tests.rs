#![allow(clippy::unwrap_used)]
use std::collections::HashSet;

use super::*;

async fn store() -> (tempfile::TempDir, BlobStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    (directory, store)
}

async fn begin(store: &BlobStore, content: &[u8]) -> Partial {
    match store.begin(Sha256::of(content), content.len() as u64).await.unwrap() {
        Begun::Partial(partial) => *partial,
        Begun::Present => panic!("the blob is there already"),
    }
}

#[tokio::test]
async fn a_blob_appears_only_when_it_is_whole_and_right() {
    let (_directory, store) = store().await;
    let digest = Sha256::of(b"hello");
    let mut partial = begin(&store, b"hello").await;
    partial.write(b"hel").await.unwrap();
    assert!(!store.contains(&digest).await.unwrap());
    partial.write(b"lo").await.unwrap();
    partial.finish().await.unwrap();
    assert_eq!(store.size(&digest).await.unwrap(), Some(5));
    assert!(matches!(store.begin(digest, 5).await.unwrap(), Begun::Present));
    assert_eq!(store.list().await.unwrap(), [Blob { sha256: digest, size: 5 }]);
    assert_eq!(store.check(&digest).await.unwrap(), Some(true));
    assert!(store.remove(&digest).await.unwrap());
    assert!(!store.remove(&digest).await.unwrap());
}

#[tokio::test]
async fn an_interrupted_write_goes_on_where_it_stopped() {
    let (_directory, store) = store().await;
    let content = vec![7u8; 3 * BLOCK + 17];
    let mut partial = begin(&store, &content).await;
    partial.write(&content[..2 * BLOCK + 5]).await.unwrap();
    drop(partial);
    let mut partial = begin(&store, &content).await;
    let offset = usize::try_from(partial.offset()).unwrap();
    assert!(offset >= 2 * BLOCK);
    partial.write(&content[offset..]).await.unwrap();
    partial.finish().await.unwrap();
    assert_eq!(store.check(&Sha256::of(&content)).await.unwrap(), Some(true));
}

#[tokio::test]
async fn other_bytes_longer_ones_and_shorter_ones_are_refused() {
    let (_directory, store) = store().await;
    let mut partial = begin(&store, b"hello").await;
    assert!(matches!(partial.write(b"hello!").await, Err(StoreError::TooLong { .. })));
    partial.write(b"hell").await.unwrap();
    assert!(matches!(partial.finish().await, Err(StoreError::TooShort { received: 4, .. })));
    let mut partial = begin(&store, b"hello").await;
    assert_eq!(partial.offset(), 4);
    partial.write(b"0").await.unwrap();
    assert!(matches!(partial.finish().await, Err(StoreError::Digest { .. })));
    assert_eq!(begin(&store, b"hello").await.offset(), 0);
    assert!(store.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn two_writers_of_one_blob_exclude_each_other() {
    let (_directory, store) = store().await;
    let _first = begin(&store, b"hello").await;
    let second = store.begin(Sha256::of(b"hello"), 5).await;
    assert!(matches!(second, Err(StoreError::Busy { .. })));
}

#[tokio::test]
async fn uploads_get_the_digest_of_what_came() {
    let (directory, store) = store().await;
    let blob = store.import_bytes(b"custom image").await.unwrap();
    assert_eq!(blob, Blob { sha256: Sha256::of(b"custom image"), size: 12 });
    assert_eq!(store.import_bytes(b"custom image").await.unwrap(), blob);
    let refused = store.import(&b"too long"[..], 3).await;
    assert!(matches!(refused, Err(StoreError::UploadTooLarge { limit: 3 })));
    assert_eq!(fs::read_dir(directory.path().join("partial")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_damaged_blob_is_found() {
    let (_directory, store) = store().await;
    let blob = store.import_bytes(b"custom image").await.unwrap();
    fs::write(store.path(&blob.sha256), b"custom imagE").unwrap();
    assert_eq!(store.check(&blob.sha256).await.unwrap(), Some(false));
}

async fn is_absent(store: &BlobStore, digest: Sha256) -> bool {
    !store.missing(vec![(digest, 1)]).await.unwrap().absent.is_empty()
}

#[tokio::test]
async fn staged_blobs_have_no_name_until_all_were_flushed() {
    // Few are flushed one by one, many by one sweep.
    for count in [3usize, 40] {
        for disk_work in [DiskWork::Aside, DiskWork::Inline] {
            let (directory, store) = store().await;
            let store = store.with_disk_work(disk_work);
            let staged = Staged::for_absent(HashSet::new());
            for number in 0..count {
                let content = number.to_string();
                let digest = Sha256::of(content.as_bytes());
                assert!(is_absent(&store, digest).await);
                let whole = BytesMut::from(content.as_bytes());
                assert_eq!(staged.add(&store, digest, None, whole).await.unwrap(), digest);
            }
            assert!(store.list().await.unwrap().is_empty());
            staged.keep(&store).await.unwrap();
            let blobs = store.list().await.unwrap();
            assert_eq!(blobs.len(), count);
            for blob in blobs {
                assert_eq!(store.check(&blob.sha256).await.unwrap(), Some(true));
            }
            for empty in ["partial", "staged"] {
                assert_eq!(fs::read_dir(directory.path().join(empty)).unwrap().count(), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_staged_blob_has_the_right_bytes_and_one_writer() {
    let (_directory, store) = store().await;
    let (staged, digest) = (Staged::for_absent(HashSet::new()), Sha256::of(b"right"));
    let refused = staged.add(&store, digest, None, BytesMut::from("wrong")).await;
    assert!(matches!(refused, Err(StoreError::Digest { .. })));
    assert!(is_absent(&store, digest).await);
    // One who fetches it in another way does not disturb, nor is disturbed.
    let other = begin(&store, b"right").await;
    staged.add(&store, digest, None, BytesMut::from("right")).await.unwrap();
    let refused = staged.add(&store, digest, None, BytesMut::from("right")).await;
    assert!(matches!(refused, Err(StoreError::Busy { .. })));
    let (key, proof) = (Sha256::of(b"stand-in"), Sha512::of(b"proved"));
    let refused = staged.add(&store, key, Some(proof), BytesMut::from("right")).await;
    assert!(matches!(refused, Err(StoreError::Sha512 { .. })));
    let name = staged.add(&store, key, Some(proof), BytesMut::from("proved")).await.unwrap();
    staged.keep(&store).await.unwrap();
    assert_eq!(name, Sha256::of(b"proved"));
    for kept in [name, digest] {
        assert_eq!(store.check(&kept).await.unwrap(), Some(true));
    }
    let mut other = other;
    other.write(b"right").await.unwrap();
    other.finish().await.unwrap();
    assert_eq!(store.check(&digest).await.unwrap(), Some(true));
}

#[tokio::test]
async fn shelves_that_are_there_take_staged_blobs_one_by_one() {
    let (_directory, store) = store().await;
    let contents: Vec<String> = (0..600).map(|number| number.to_string()).collect();
    let (first, second) = contents.split_at(300);
    for batch in [first, second] {
        let staged = Staged::for_absent(HashSet::new());
        for content in batch {
            let digest = Sha256::of(content.as_bytes());
            staged.add(&store, digest, None, BytesMut::from(content.as_bytes())).await.unwrap();
        }
        staged.keep(&store).await.unwrap();
    }
    assert_eq!(store.list().await.unwrap().len(), contents.len());
    for content in contents {
        assert_eq!(store.check(&Sha256::of(content.as_bytes())).await.unwrap(), Some(true));
    }
}

#[tokio::test]
async fn large_blobs_are_flushed_as_soon_as_many_bytes_wait() {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).await.unwrap();
    let staged = Staged::for_absent(HashSet::new());
    let half = staged::MOST_WAITING / 2;
    let mut digests = Vec::new();
    for (content, named) in [(&b"first"[..], false), (b"second", true), (b"third", false)] {
        let digest = Sha256::of(content);
        fs::write(store.partial_path(&digest), content).unwrap();
        staged.add_large(&store, digest, digest, half).await.unwrap();
        assert_eq!(store.check(&digest).await.unwrap().is_some(), named);
        digests.push(digest);
    }
    staged.keep(&store).await.unwrap();
    for digest in digests {
        assert_eq!(store.check(&digest).await.unwrap(), Some(true));
    }
}

#[tokio::test]
async fn what_a_crash_leaves_staged_is_taken_up_and_proved_again() {
    let (directory, store) = store().await;
    let staged = Staged::for_absent(HashSet::new());
    for content in [b"whole", b"torn!"] {
        let digest = Sha256::of(content);
        staged.add(&store, digest, None, BytesMut::from(&content[..])).await.unwrap();
    }
    // What a power cut does to bytes that were not flushed.
    let name = Sha256::of(b"torn!").to_string();
    let mut batches = fs::read_dir(directory.path().join("staged")).unwrap();
    let batch = batches.next().unwrap().unwrap().path();
    fs::write(batch.join(&name[..2]).join(&name), "torn?").unwrap();
    drop(staged);
    store.take_up_staged().await.unwrap();
    assert_eq!(fs::read_dir(directory.path().join("staged")).unwrap().count(), 0);
    let whole = begin(&store, b"whole").await;
    assert_eq!(whole.offset(), 5, "nothing is fetched again");
    whole.finish().await.unwrap();
    assert_eq!(store.check(&Sha256::of(b"whole")).await.unwrap(), Some(true));
    let refused = begin(&store, b"torn!").await.finish().await;
    assert!(matches!(refused, Err(StoreError::Digest { .. })));
    assert!(!store.contains(&Sha256::of(b"torn!")).await.unwrap());
    store.take_up_staged().await.unwrap();
}
