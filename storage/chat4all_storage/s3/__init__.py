"""The bytes of files in a store that speaks S3, handed out by presigned addresses."""
